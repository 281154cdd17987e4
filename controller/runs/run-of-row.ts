import type { TaskState } from '../../common/task-event.ts';
import type { RunsTable, TasksTable } from '../store/schema.ts';
import type { Cancellation, RunCaller, RunFacts } from './run-facts.ts';

/** What an earlier process recorded of a run. Pure. */
export function factsOf(row: RunsTable, envNames: readonly string[]): RunFacts {
  return {
    id: row.id,
    pattern: row.pattern,
    command: row.command,
    args: JSON.parse(row.args) as string[],
    envNames,
    dryRun: row.dry_run !== 0,
    ...callerOfRow(row),
    startedMs: row.started_at,
  };
}

/** Who ended the run; undefined if nobody did. */
export function cancellationOf({ cancelled }: RunsTable): Cancellation | undefined {
  return cancelled === null ? undefined : (JSON.parse(cancelled) as Cancellation);
}

function callerOfRow({ user, caller }: RunsTable): Pick<RunFacts, 'actor' | 'clientAddress' | 'raw'> {
  const none: RunCaller = { role: '', certificate: '', clientAddress: '' };
  const { role, certificate, clientAddress, raw } =
    caller === null ? none : (JSON.parse(caller) as RunCaller);
  return { actor: { name: user, role, certificate }, clientAddress, raw: raw === true };
}

/** Of the tasks that have ended, how. */
export function endsOf(tasks: readonly TasksTable[]): Map<string, { state: TaskState; reason: string }> {
  const ended = tasks.filter(({ finished_at: finishedAt }) => finishedAt !== null);
  return new Map(ended.map(({ id, state, reason }) => [id, { state: state as TaskState, reason }]));
}
