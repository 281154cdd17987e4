import { printable } from '../../common/printable.ts';

/** Where something was thrown, and what caused it, for those who ask. */
export function stackLines(thrown: unknown): string {
  const lines = stackOf(thrown).split('\n').map(printable);
  return lines.map((line) => `${line}\n`).join('');
}

function stackOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause === undefined ? '' : `\ncaused by ${stackOf(thrown.cause)}`;
  return `${thrown.stack ?? thrown.message}${cause}`;
}
