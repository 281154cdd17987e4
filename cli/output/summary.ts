import type { RunFinished, Target, TaskFinished, TaskState } from '../../common/task-event.ts';
import { formatDuration } from '../../common/durations.ts';
import { longest, targetName } from './prefix.ts';
import { printable } from '../../common/printable.ts';
import type { Colour, Paint } from './style.ts';
import { padded } from './text-width.ts';

/** From what a user most wants to know of: trouble, then what did not happen, then what went well. */
export const statesByTrouble: readonly TaskState[] = [
  'failed',
  'timed-out',
  'lost',
  'unreachable',
  'denied',
  'cancelled',
  'skipped',
  'succeeded',
];

export function stateColour(state: TaskState): Colour {
  if (state === 'succeeded') return 'green';
  return state === 'skipped' || state === 'cancelled' ? 'yellow' : 'red';
}

/** Nothing went wrong with it: no reason to disturb somebody who asked for quiet. */
export function isFine(state: TaskState): boolean {
  return state === 'succeeded' || state === 'skipped';
}

/** `failed after 1.2s: hook_pre_up ended with 3` */
export function endOf({ state, durationMs, reason }: TaskFinished): string {
  if (state === 'succeeded') return `succeeded in ${formatDuration(durationMs)}`;
  const took = isNeverStarted(state) ? '' : ` after ${formatDuration(durationMs)}`;
  return `${state}${took}${reason === '' ? '' : `: ${printable(reason)}`}`;
}

function isNeverStarted(state: TaskState): boolean {
  return state === 'unreachable' || state === 'denied' || state === 'skipped';
}

/**
 * Every target with its end state and duration, then the sums: trouble last, where it does not scroll away. `run` is
 * where to ask for more.
 */
export function summaryLines(
  run: string | undefined,
  targets: readonly Target[],
  ends: ReadonlyMap<number, TaskFinished>,
  finished: RunFinished,
  paint: Paint,
): string[] {
  const rows = targets.map((target, index) => ({
    name: targetName(target),
    end: ends.get(index + 1) ?? unheard,
  }));
  rows.sort((a, b) => statesByTrouble.indexOf(b.end.state) - statesByTrouble.indexOf(a.end.state));
  const widths = {
    state: longest(rows.map(({ end }) => end.state)),
    name: longest(rows.map(({ name }) => name)),
    took: longest(rows.map(({ end }) => tookOf(end))),
  };
  const lines = rows.map(({ name, end }) => {
    const state = paint(stateColour(end.state), end.state.padEnd(widths.state));
    const took = tookOf(end).padStart(widths.took);
    return `${state}  ${padded(name, widths.name)}  ${took}  ${printable(end.reason)}`.trimEnd();
  });
  return [...lines, ...totals(run, rows.length, finished)];
}

function tookOf({ state, durationMs }: TaskFinished): string {
  return isNeverStarted(state) ? '-' : formatDuration(durationMs);
}

/** A target that the run ended without a word about. There is none unless the controller errs. */
const unheard: TaskFinished = {
  type: 'task.finished',
  state: 'lost',
  reason: 'the controller did not say how it ended',
  durationMs: 0,
  actionDecided: false,
};

function totals(
  run: string | undefined,
  targets: number,
  { counts, durationMs, exitCode }: RunFinished,
): string[] {
  const sums = statesByTrouble.flatMap((state) =>
    counts[state] === undefined ? [] : [`${counts[state]} ${state}`],
  );
  const line = `${targets} targets: ${sums.join(', ')} in ${formatDuration(durationMs)}`;
  if (exitCode === 0) return [line];
  const more = run === undefined ? [] : [`more: kompose runs show ${printable(run)}`];
  return [`${line}; exit code ${exitCode}`, ...more];
}
