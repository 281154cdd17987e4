const oldestMajor = 24;
const newestListed = 26;

/**
 * By major version, Node's first minor one that frees all certificates of a connection that has ended. Those before it, and
 * the versions up to `newestListed` that are not named, keep 5 kB of each whose client has shown its CA's certificate as
 * well, as TLS has clients do.
 */
const freeingMinors: Readonly<Record<number, number>> = { 24: 22, 26: 9 };

/** What to install where Node's `version` (such as `24.22.3`) is too old for any program; undefined if it is not. Pure. */
export function missingNode(version: string): string | undefined {
  return Number.parseInt(version, 10) < oldestMajor ? `Node ${oldestMajor} or newer` : undefined;
}

/** The same for a controller, which stands for months: it needs one that frees what a connection took. Pure. */
export function missingForController(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > newestListed || minor >= (freeingMinors[major] ?? Infinity)) return undefined;
  return 'Node 26.9 or newer, or 24 from 24.22 on: a controller needs it';
}
