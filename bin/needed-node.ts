const oldestMajor = 24;
/**
 * By major version, Node's first minor one that frees all certificates of a connection that has ended. Those before, and
 * other major versions, keep 5 kB of each whose client has shown its CA's certificate as well, as TLS has clients do.
 */
const freeingMinors: Readonly<Record<number, number>> = { 24: 22, 26: 9 };
const newestListed = 26;

/**
 * What to install where Node's `version` (such as `24.22.3`) will not do for a program; undefined if it will. A controller,
 * which stands for months, needs one that frees what a connection took; any other program Node 24. Pure.
 */
export function missingNode(version: string, program: string | undefined): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (program !== 'controller') return major < oldestMajor ? `Node ${oldestMajor} or newer` : undefined;
  if (major > newestListed || minor >= (freeingMinors[major] ?? Infinity)) return undefined;
  return 'Node 24.22, 26.9 or newer, which a controller needs';
}
