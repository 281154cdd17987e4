import type { TerminalSize } from '../../../common/client-terminal.ts';
import { formatDuration } from '../../../common/durations.ts';
import type { TaskState } from '../../../common/task-event.ts';
import { longest } from '../prefix.ts';
import { printable } from '../../../common/printable.ts';
import type { Colour, Paint } from '../style.ts';
import { endOf, isFine, stateColour, statesByTrouble } from '../summary.ts';
import { cutTo, padded, textWidth } from '../text-width.ts';
import type { Progress, TargetProgress } from './progress.ts';

/** Of the screen's rows; the rest is for the output that scrolls by above. */
const share = 2 / 3;
const frames = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const frameMs = 200;

type Piece = readonly [text: string, colour?: Colour];

interface Row {
  readonly name: string;
  readonly target: TargetProgress;
}

/**
 * The lines that show how far a run is, the sums last: all targets where they fit, else those that run or failed.
 * None is as wide as the screen. Pure.
 */
export function liveLines(
  progress: Pick<Progress, 'names' | 'targets' | 'startedMs'>,
  { rows, columns }: TerminalSize,
  nowMs: number,
  paint: Paint,
): string[] {
  const all = progress.targets.map((target, index): Row => ({ name: progress.names[index] ?? '', target }));
  const { shown, rest } = choose(all, Math.floor(rows * share) - 1);
  const widths = {
    name: Math.min(longest(shown.map(({ name }) => name)), Math.floor(columns / 2)),
    step: longest(shown.map(({ target }) => (target.kind === 'running' ? target.step : ''))),
  };
  const hidden: Piece[][] = rest === '' ? [] : [[[`  ${rest}`, 'dim']]];
  const targets = shown.map((row) => rowPieces(row, widths, nowMs));
  const lines = [...targets, ...hidden, sumPieces(all, nowMs - progress.startedMs)];
  return lines.map((pieces) => fitted(pieces, columns - 1, paint));
}

/** At most `room` of them, with the line for the others among them. */
function choose(all: readonly Row[], room: number): { shown: readonly Row[]; rest: string } {
  if (all.length <= room) return { shown: all, rest: '' };
  const failed = all.filter(({ target }) => hasFailed(target));
  const running = all.filter(({ target }) => target.kind === 'running');
  if (failed.length + running.length <= room) return { shown: [...failed, ...running], rest: '' };
  if (room < 1) return { shown: [], rest: '' };
  const places = room - 1;
  const ofFailed = Math.max(Math.floor(places / 2), places - running.length);
  const shownFailed = failed.slice(0, ofFailed);
  const shownRunning = running.slice(0, places - shownFailed.length);
  const hidden = [
    counted(failed.length - shownFailed.length, 'failed'),
    counted(running.length - shownRunning.length, 'running'),
  ];
  return { shown: [...shownFailed, ...shownRunning], rest: `… and ${hidden.flat().join(', ')}` };
}

function hasFailed(target: TargetProgress): boolean {
  return target.kind === 'ended' && !isFine(target.end.state) && target.end.state !== 'cancelled';
}

function counted(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}

function rowPieces({ name, target }: Row, widths: { name: number; step: number }, nowMs: number): Piece[] {
  const shownName = padded(cutTo(name, widths.name), widths.name);
  switch (target.kind) {
    case 'waiting': {
      const why = target.waitingFor === '' ? 'waiting' : `waits for ${printable(target.waitingFor)}`;
      return [[`· ${shownName}  ${why}`, 'dim']];
    }
    case 'running': {
      const frame = frames[Math.floor(nowMs / frameMs) % frames.length] ?? '';
      const took = elapsed(nowMs - target.sinceMs).padStart('59s'.length);
      const step = padded(printable(target.step), widths.step);
      const line: Piece[] = target.lastLine === '' ? [] : [[`  ${target.lastLine}`, 'dim']];
      return [[frame, 'cyan'], [` ${shownName}  ${step}  ${took}`], ...line];
    }
    case 'ended': {
      const colour = stateColour(target.end.state);
      return [[`${mark(target.end.state)} `, colour], [`${shownName}  `], [endOf(target.end), colour]];
    }
  }
}

function mark(state: TaskState): string {
  if (state === 'succeeded') return '✔';
  return state === 'skipped' || state === 'cancelled' ? '-' : '✘';
}

/** `12 of 40 done: 2 failed, 10 succeeded · 5 running · 23 waiting · 14s` */
function sumPieces(rows: readonly Row[], tookMs: number): Piece[] {
  const ends = rows.flatMap(({ target }) => (target.kind === 'ended' ? [target.end.state] : []));
  const kinds = (kind: TargetProgress['kind']): number =>
    rows.filter(({ target }) => target.kind === kind).length;
  const sums = statesByTrouble.flatMap((state): Piece[] => {
    const count = ends.filter((end) => end === state).length;
    return count === 0 ? [] : [[`${count} ${state}`, stateColour(state)]];
  });
  const open = [...counted(kinds('running'), 'running'), ...counted(kinds('waiting'), 'waiting')];
  return [
    [`${ends.length} of ${rows.length} done`],
    ...sums.flatMap((sum, index): Piece[] => [index === 0 ? [': '] : [', '], sum]),
    [[...open.map((part) => ` · ${part}`), ` · ${elapsed(tookMs)}`].join('')],
  ];
}

/** Whole seconds, for what goes on; a host's clock may be ahead of ours. */
function elapsed(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  return seconds < 60 ? `${seconds}s` : formatDuration(seconds * 1000);
}

/** The pieces side by side, as far as they fit. */
function fitted(pieces: readonly Piece[], width: number, paint: Paint): string {
  let left = width;
  let line = '';
  for (const [text, colour] of pieces) {
    const shown = cutTo(text, left);
    left -= textWidth(shown);
    line += colour === undefined ? shown : paint(colour, shown);
    if (shown !== text) break;
  }
  return line;
}
