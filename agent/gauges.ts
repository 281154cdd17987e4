import type { Gauges } from '../common/gauges.ts';
import type { ProcessGauge } from '../common/process-gauge.ts';
import type { LocalRuns } from './local/local-runs.ts';
import type { TaskRegistry } from './tasks/task-registry.ts';

interface Parts {
  readonly process: ProcessGauge;
  readonly tasks: TaskRegistry;
  readonly localRuns: LocalRuns;
}

/** What this agent takes and has under way, told over a link with so many reports. */
export function agentGauges({ process, tasks, localRuns }: Parts, reports: number): Gauges {
  const { open } = tasks;
  return {
    ...process.read(),
    links: 1,
    streams: 1 + reports,
    runs: tasks.runningCount,
    spooledBytes: open.reduce((sum, { log }) => sum + log.size, 0),
    queuedRecords: localRuns.waitingCount + open.reduce((sum, spool) => sum + spool.unacknowledgedCount, 0),
  };
}
