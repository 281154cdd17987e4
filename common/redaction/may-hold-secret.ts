import { shortestSecret } from './secret-patterns.ts';

/** Words of compose's own that stand where a value does. */
const plainWords = new Set(
  'true false always missing never local json table yaml plain running exited sql.gz sql.zst'.split(' '),
);
const option = /^--[a-z][a-z-]*$/;
const signal = /^SIG[A-Z]{3,6}$/;
const dump = /^[^/]+_\d{8}_\d{6}\.sql(?:\.gz|\.zst)?$/;

/**
 * Whether a word of a command line might be or hold a secret that only its host knows. Not one that is too short, a
 * long option, one of `names` (of hosts, stacks, services), a dump or a plain word of compose's; `--option=WORD` and
 * `NAME=WORD` are judged by their WORD. Pure.
 */
export function mayHoldSecret(word: string, names: ReadonlySet<string>): boolean {
  const equals = word.indexOf('=');
  const before = word.slice(0, Math.max(0, equals));
  if (option.test(before) || names.has(before)) return mayHoldSecret(word.slice(equals + 1), names);
  if (Array.from(word).length < shortestSecret || names.has(word) || plainWords.has(word)) return false;
  return ![option, signal, dump].some((plain) => plain.test(word));
}
