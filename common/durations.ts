import { KomposeError } from './errors.ts';
import { quoted } from './quoted.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const unitsMs: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', second],
  ['m', minute],
  ['h', hour],
  ['d', day],
]);

const example = 'write it as 500ms, 3s, 1m30s, 2h or 1d';

/**
 * Whole milliseconds of `500ms`, `3s`, `1m30s`, `2h`, `1d`; a bare number is seconds, and a number may have
 * decimals. Throws `usage`. The result may be longer than `setTimeout` can wait (2^31 - 1 ms, 24.8 days).
 */
export function parseDuration(text: string): number {
  const fail = (problem: string): never => {
    throw new KomposeError('usage', `bad duration ${quoted(text)}: ${problem}; ${example}`);
  };
  if (text === '') fail('it is empty');
  if (text.startsWith('-')) fail('it is negative');
  const total = isNumber(text) ? Number(text) * second : sumParts(text, fail);
  const ms = Math.round(total);
  return Number.isSafeInteger(ms) ? ms : fail('it is too long');
}

/** For people: `38ms`, `0.8s`, `12.3s`, `1m05s`, `2h03m`, `1d04h`, rounded; never negative. */
export function formatDuration(ms: number): string {
  const whole = Math.round(Math.max(0, ms));
  if (whole < 100) return `${whole}ms`;
  const tenths = Math.round(Math.max(0, ms) / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)}s`;
  const seconds = Math.round(ms / second);
  if (seconds < 3600) return twoUnits(seconds, 60, 'm', 's');
  const minutes = Math.round(ms / minute);
  if (minutes < 24 * 60) return twoUnits(minutes, 60, 'h', 'm');
  return twoUnits(Math.round(ms / hour), 24, 'd', 'h');
}

function isNumber(text: string): boolean {
  return /^\d+(?:\.\d+)?$/.test(text);
}

function sumParts(text: string, fail: (problem: string) => never): number {
  let total = 0;
  let end = 0;
  for (const match of text.matchAll(/(?<count>\d+(?:\.\d+)?)(?<unit>[^\d.]*)/g)) {
    const { count = '', unit = '' } = match.groups ?? {};
    if (match.index !== end) break;
    const unitMs =
      unitsMs.get(unit) ?? fail(unit === '' ? `${count} has no unit` : `the unit ${quoted(unit)} is unknown`);
    total += Number(count) * unitMs;
    end += match[0].length;
  }
  return end === text.length ? total : fail(`${quoted(text.slice(end))} is not a number with a unit`);
}

function twoUnits(count: number, size: number, large: string, small: string): string {
  return `${Math.floor(count / size)}${large}${String(count % size).padStart(2, '0')}${small}`;
}
