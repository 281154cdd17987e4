/**
 * Which targets a pattern means: section 2 of the command contract, "Patterns". A stack's name may hold a colon,
 * a host's may not, so the first colon of a term parts them. Blanks around a term do not count.
 */
import { type Glob, type GlobContext, parseGlob } from './glob.ts';
import { checkLabelKey, checkLabelValue } from './names.ts';
import { quoted } from './quoted.ts';
import { globContext, type Piece, splitTerms, topLevel } from './terms.ts';

export interface StackAddress {
  readonly host: string;
  readonly stack: string;
}

interface Term {
  /** Absent: any host. */
  readonly host: Glob | undefined;
  readonly stack: Glob;
}

/** The targets of `included` less those of `excluded`, wherever the `!` terms stood. */
export interface Pattern {
  readonly text: string;
  /** Without any, the pattern starts from everything. */
  readonly included: readonly Term[];
  readonly excluded: readonly Term[];
}

/** A stack that a pattern names in full, so that it can be missed where its host is away. */
export interface LiteralTarget {
  /** Absent: any host. */
  readonly host: ((name: string) => boolean) | undefined;
  readonly isLiteralHost: boolean;
  /** The host, if it is named in full too. */
  readonly hostName?: string;
  readonly stack: string;
}

/** Throws `usage`, naming the bad term and its place. */
export function parsePattern(text: string): Pattern {
  const context = globContext('pattern', text);
  const terms = splitTerms(text, context).map(({ piece, isExcluded }) => ({
    isExcluded,
    term: parseTerm(piece, context),
  }));
  return {
    text,
    included: terms.filter(({ isExcluded }) => !isExcluded).map(({ term }) => term),
    excluded: terms.filter(({ isExcluded }) => isExcluded).map(({ term }) => term),
  };
}

/** Whether the pattern means this target. */
export function matchesTarget(pattern: Pattern, target: StackAddress): boolean {
  const isMeant = (term: Term) =>
    (term.host === undefined || term.host.matches(target.host)) && term.stack.matches(target.stack);
  return isChosen(pattern, isMeant);
}

/** The targets that the pattern means, by host, then stack, in code-unit order; of equal ones the first. */
export function matchPattern<T extends StackAddress>(pattern: Pattern, targets: readonly T[]): T[] {
  const matching = targets.filter((target) => matchesTarget(pattern, target));
  const ordered = matching.toSorted(
    (a, b) => compareCodeUnits(a.host, b.host) || compareCodeUnits(a.stack, b.stack),
  );
  return ordered.filter(({ host, stack }, at) => {
    const before = ordered[at - 1];
    return before?.host !== host || before.stack !== stack;
  });
}

/**
 * The stacks that the pattern spells out, `{a,b}` as two. Ask `matchesTarget` of each host that one is taken for:
 * a `!` term may take it away again.
 */
export function literalTargets(pattern: Pattern): LiteralTarget[] {
  return pattern.included.flatMap(({ host, stack }) =>
    stack.literals.map((name) => {
      const hostName = host?.isLiteral === true ? host.literals[0] : undefined;
      return {
        host: host?.matches,
        isLiteralHost: hostName !== undefined,
        ...(hostName !== undefined && { hostName }),
        stack: name,
      };
    }),
  );
}

/** A test of names. Throws `usage`. */
export function compileGlob(text: string): (name: string) => boolean {
  const context = globContext('name', text);
  if (text === '') context.fail('it is empty; for every name write *');
  return parseGlob(text, 0, context).matches;
}

/** The test of `--host`, which may be repeated: comma lists of globs and `!globs`; none at all is every host. */
export function hostFilter(hosts: readonly string[]): (name: string) => boolean {
  const included: Glob[] = [];
  const excluded: Glob[] = [];
  for (const text of hosts) {
    const context = globContext('--host', text);
    for (const { piece, isExcluded } of splitTerms(text, context)) {
      const colon = topLevel(piece.text, ':')[0];
      if (colon !== undefined) {
        context.fail(
          `":" at character ${piece.offset + colon + 1} parts a host from a stack; name only the host here`,
        );
      }
      (isExcluded ? excluded : included).push(parseGlob(piece.text, piece.offset, context));
    }
  }
  return (name) => isChosen({ included, excluded }, (glob) => glob.matches(name));
}

/** The test of `--label`, which may be repeated; all must hold. `K!=V` holds where K is absent too. */
export function labelFilter(
  labels: readonly string[],
): (labels: Readonly<Record<string, string>>) => boolean {
  const tests = labels.map(parseLabelTest);
  return (of) => tests.every((test) => test(of));
}

function parseLabelTest(text: string): (labels: Readonly<Record<string, string>>) => boolean {
  const equals = text.indexOf('=');
  if (equals < 0) {
    const key = checkLabelKey(text);
    return (labels) => Object.hasOwn(labels, key);
  }
  const isNegated = text[equals - 1] === '!';
  const key = checkLabelKey(text.slice(0, isNegated ? equals - 1 : equals));
  const value = checkLabelValue(text.slice(equals + 1));
  return (labels) => (Object.hasOwn(labels, key) && labels[key] === value) !== isNegated;
}

function isChosen<T>(
  { included, excluded }: { readonly included: readonly T[]; readonly excluded: readonly T[] },
  matches: (item: T) => boolean,
): boolean {
  return (included.length === 0 || included.some(matches)) && !excluded.some(matches);
}

function parseTerm({ text, offset }: Piece, context: GlobContext): Term {
  const colon = topLevel(text, ':')[0];
  if (colon === undefined && /\{[^}]*:/.test(text)) {
    context.fail(
      `a host and its stack stand together inside braces in ${quoted(text)}; write host:stack,host:stack without braces`,
    );
  }
  if (colon === text.length - 1) {
    context.fail(
      `no stack after the ":" at character ${offset + text.length}; for every stack write ${quoted(`${text}*`)}`,
    );
  }
  const stackAt = colon === undefined ? 0 : colon + 1;
  const hostText = text.slice(0, colon ?? 0);
  return {
    host: hostText === '' ? undefined : parseGlob(hostText, offset, context),
    stack: parseGlob(text.slice(stackAt), offset + stackAt, context),
  };
}

function compareCodeUnits(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
