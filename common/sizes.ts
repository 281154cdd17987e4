import { KomposeError } from './errors.ts';

const units = { '': 1, B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Bytes: `64MiB`, `512KiB`, `1000`. Throws `usage`, which names the text and `what` it is for. */
export function parseSize(text: string, what: string): number {
  const [, digits, unit = ''] = /^(\d{1,9})([KMG]iB|B)?$/.exec(text) ?? [];
  if (digits !== undefined && unit in units) return Number(digits) * units[unit as keyof typeof units];
  throw new KomposeError('usage', `${what} is a size such as 64MiB, not ${JSON.stringify(text)}`);
}
