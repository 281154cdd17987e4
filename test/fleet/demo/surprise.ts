import { isDeepStrictEqual } from 'node:util';

/** Something came out otherwise than the demo promises. */
export class Surprise extends Error {
  override name = 'Surprise';
}

/** Throws a Surprise that shows both when `seen` is not `expected`. */
export function expect(what: string, seen: unknown, expected: unknown): void {
  if (isDeepStrictEqual(seen, expected)) return;
  throw new Surprise(`${what}:\n  expected ${JSON.stringify(expected)}\n  but saw  ${JSON.stringify(seen)}`);
}
