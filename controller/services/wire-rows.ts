import type { Host, Run, Task } from '../../proto/gen/kompose/v1/fleet.ts';
import type { Dump } from '../../common/task-event.ts';
import type { HostRecord } from '../fleet/fleet.ts';
import type { RunRow } from '../runs/run-queries.ts';
import type { StepsTable, TasksTable } from '../store/schema.ts';

export function toWireHost(host: HostRecord): Host {
  return {
    name: host.name,
    labels: { ...host.labels },
    online: host.session !== undefined,
    lastSeenUnixMs: host.lastSeenMs ?? 0,
    onlineSinceUnixMs: host.session?.connectedMs ?? 0,
    agentVersion: host.agentVersion,
    stacks: host.stacks?.length ?? 0,
    certificateNotAfterUnixMs: host.certificateNotAfterMs,
    joinedUnixMs: host.joinedMs,
    clockSkewMs: host.clockSkewMs,
  };
}

export function toWireRun(row: RunRow): Run {
  return {
    id: row.id,
    pattern: row.pattern,
    command: row.command,
    args: JSON.parse(row.args) as string[],
    user: row.user,
    state: row.state,
    startedUnixMs: row.started_at,
    finishedUnixMs: row.finished_at ?? 0,
    exitCode: row.exit_code ?? undefined,
    targets: row.targets,
    counts: JSON.parse(row.counts) as Record<string, number>,
    dryRun: row.dry_run !== 0,
    retryOf: row.retry_of ?? undefined,
  };
}

export function toWireTask(row: TasksTable, steps: readonly StepsTable[]): Task {
  return {
    id: row.id,
    host: row.host,
    stack: row.stack,
    state: row.state,
    reason: row.reason,
    exitCode: row.exit_code ?? undefined,
    startedUnixMs: row.started_at ?? 0,
    finishedUnixMs: row.finished_at ?? 0,
    steps: steps.map(({ step, name, outcome, exit_code: exitCode, duration_ms: durationMs }) => {
      return { step, name, outcome, exitCode, durationMs };
    }),
    dump: row.dump === null ? undefined : (JSON.parse(row.dump) as Dump),
  };
}
