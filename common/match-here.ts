import { KomposeError } from './errors.ts';
import { nearest } from './nearest.ts';
import { hostFilter, matchPattern, parsePattern } from './patterns.ts';

/** This host and what it has. */
export interface Here {
  readonly host: string;
  /** The stacks root. */
  readonly root: string;
  readonly stacks: readonly string[];
}

/** The stacks of this host that a pattern and --host mean, by name. Pure. Throws `usage`; `not-found`, naming the nearest. */
export function matchHere(pattern: string, hosts: readonly string[], { host, root, stacks }: Here): string[] {
  if (!hostFilter(hosts)(host))
    throw new KomposeError('not-found', `no host matches ${hosts.join(' ')}: this one is ${host}`);
  const targets = stacks.map((stack) => ({ host, stack }));
  const matched = matchPattern(parsePattern(pattern), targets);
  if (matched.length > 0) return matched.map(({ stack }) => stack);
  const near = nearest(pattern.replace(/^.*:/, ''), stacks);
  const hint =
    near.length === 0 ? ' (kompose --list shows what is there)' : `; did you mean ${near.join(', ')}?`;
  throw new KomposeError('not-found', `nothing matches ${pattern} in ${root}${hint}`);
}
