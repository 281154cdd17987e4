import { taskStates, type TaskCounts, type TaskFinished, type TaskState } from './task-event.ts';

/** How a task ended, as far as the run's outcome depends on it. */
export type TaskEnd = Pick<TaskFinished, 'state' | 'exitCode' | 'actionDecided'>;

export interface RunOutcome {
  readonly state: TaskState;
  readonly counts: TaskCounts;
  readonly exitCode: number;
}

/**
 * Section 3 of the command contract: the first that holds of 130 (the user cancelled), 1, 5, 4, 0; `exec` and `run`
 * on a single target end with the command's own code if the action decided. Pure.
 */
export function runOutcome(
  ends: readonly TaskEnd[],
  command: string,
  isCancelledByUser: boolean,
): RunOutcome {
  const counts: Partial<Record<TaskState, number>> = {};
  for (const state of taskStates) {
    const count = ends.filter((end) => end.state === state).length;
    if (count > 0) counts[state] = count;
  }
  const state = overallState(counts, isCancelledByUser);
  return { state, counts, exitCode: ownExitCode(ends, command) ?? exitCodes[state] };
}

const exitCodes: Record<TaskState, number> = {
  succeeded: 0,
  skipped: 0,
  failed: 1,
  'timed-out': 1,
  cancelled: 130,
  denied: 5,
  unreachable: 4,
  lost: 4,
};

function overallState(counts: TaskCounts, isCancelledByUser: boolean): TaskState {
  if (isCancelledByUser && counts.cancelled !== undefined) return 'cancelled';
  const order: readonly TaskState[] = ['failed', 'timed-out', 'denied', 'lost', 'unreachable'];
  const worst = order.find((state) => counts[state] !== undefined);
  if (worst !== undefined) return worst;
  // Cancelled, but by nobody who asked for it: a task that did not do what was asked.
  if (counts.cancelled !== undefined) return 'failed';
  return counts.succeeded === undefined && counts.skipped !== undefined ? 'skipped' : 'succeeded';
}

function ownExitCode(ends: readonly TaskEnd[], command: string): number | undefined {
  const [end] = ends;
  if (ends.length !== 1 || end === undefined || (command !== 'exec' && command !== 'run')) return undefined;
  if (!end.actionDecided || (end.state !== 'failed' && end.state !== 'succeeded')) return undefined;
  return end.exitCode;
}
