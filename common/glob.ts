/**
 * Globs over names: `*` any run, `?` any one character, `[abc]` `[a-z]` `[!abc]` one of or none of these,
 * `{a,b}` either (they nest). Nothing escapes: `[*]` is a star. Upper and lower case differ.
 *
 * Braces are expanded when the glob is compiled, within a budget, and each alternative is matched by going back
 * to its last `*` only. A regular expression would try all stars in all ways: exponential for hostile patterns.
 */

/** One pattern of the user being compiled: what to blame in errors, and how many alternatives it may have left. */
export interface GlobContext {
  readonly fail: (problem: string) => never;
  budget: number;
}

export interface Glob {
  readonly matches: (name: string) => boolean;
  /** The names that it spells out: `{sexy,n*}` has `sexy`. */
  readonly literals: readonly string[];
  /** It is one name, spelled out. */
  readonly isLiteral: boolean;
}

type CharTest = (char: string) => boolean;
/** A character that stands for itself, a test of one character, or any run. */
type Token = string | CharTest | typeof anyRun;
type Alternatives = Token[][];

const anyRun = Symbol('*');
const anyChar: CharTest = () => true;

/**
 * Compiles `text`, which begins at index `offset` of what the user wrote; errors count characters from there.
 * Blames `context.fail` for brackets and braces that do not close, empty braces and too many alternatives.
 */
export function parseGlob(text: string, offset: number, context: GlobContext): Glob {
  const { alternatives, end } = parseSequence(text, 0, offset, context, false);
  if (end < text.length) context.fail(`"}" at character ${offset + end + 1} closes nothing; remove it`);
  context.budget -= alternatives.length - 1;
  const literals = alternatives.filter(isSpelledOut).map((tokens) => tokens.join(''));
  const names = new Set(literals);
  const wild = alternatives.filter((tokens) => !isSpelledOut(tokens)).map(wildMatcher);
  return {
    literals: [...names],
    isLiteral: names.size === 1 && wild.length === 0,
    matches: (name) => {
      if (names.has(name) || wild.length === 0) return names.has(name);
      const chars = Array.from(name);
      return wild.some((matches) => matches(chars));
    },
  };
}

/** Where the class that opens at `open` ends: the index of its `]`, or -1. A `]` in first place is a member. */
export function classEnd(text: string, open: number): number {
  return text.indexOf(']', open + (text[open + 1] === '!' ? 3 : 2));
}

function parseSequence(text: string, start: number, offset: number, context: GlobContext, inBrace: boolean) {
  let alternatives: Alternatives = [[]];
  let at = start;
  while (at < text.length) {
    const char = String.fromCodePoint(text.codePointAt(at) ?? 0);
    if (char === '}' || (inBrace && char === ',')) break;
    if (char === '{') {
      const brace = parseBrace(text, at, offset, context);
      alternatives = product(alternatives, brace.alternatives, context);
      at = brace.end;
      continue;
    }
    const end = char === '[' ? classEnd(text, at) : at + char.length - 1;
    if (end < 0) context.fail(`"[" at character ${offset + at + 1} is never closed; add a "]"`);
    const token = toToken(char, text.slice(at + 1, end), offset + at + 1, context);
    for (const tokens of alternatives) tokens.push(token);
    at = end + 1;
  }
  return { alternatives, end: at };
}

function parseBrace(text: string, open: number, offset: number, context: GlobContext) {
  const position = offset + open + 1;
  if (text[open + 1] === '}')
    context.fail(`the braces at character ${position} are empty; put names in them`);
  const alternatives: Alternatives = [];
  let at = open;
  do {
    const part = parseSequence(text, at + 1, offset, context, true);
    alternatives.push(...part.alternatives);
    at = part.end;
  } while (text[at] === ',');
  if (text[at] !== '}') context.fail(`"{" at character ${position} is never closed; add a "}"`);
  return { alternatives, end: at + 1 };
}

function product(left: Alternatives, right: Alternatives, context: GlobContext): Alternatives {
  if (left.length * right.length > context.budget) {
    context.fail('its braces stand for too many names; use fewer braces, or * in their place');
  }
  return left.flatMap((head) => right.map((tail) => [...head, ...tail]));
}

function toToken(char: string, body: string, position: number, context: GlobContext): Token {
  if (char === '*') return anyRun;
  if (char === '?') return anyChar;
  return char === '[' ? toCharTest(body, position, context) : char;
}

function toCharTest(body: string, position: number, context: GlobContext): CharTest {
  if (body.startsWith('^')) {
    context.fail(`"[^" at character ${position} is not known here; write "[!" for none of these`);
  }
  const isNegated = body.startsWith('!');
  const chars = Array.from(isNegated ? body.slice(1) : body);
  const ranges: { low: number; high: number }[] = [];
  for (let at = 0; at < chars.length; at++) {
    const isRange = chars[at + 1] === '-' && at + 2 < chars.length;
    const range = { low: codePoint(chars[at]), high: codePoint(chars[isRange ? at + 2 : at]) };
    if (range.low > range.high) {
      context.fail(`the range in "[" at character ${position} runs backwards; swap its ends`);
    }
    ranges.push(range);
    if (isRange) at += 2;
  }
  return (char) => ranges.some(({ low, high }) => isBetween(codePoint(char), low, high)) !== isNegated;
}

function codePoint(char: string | undefined): number {
  return char?.codePointAt(0) ?? -1;
}

function isBetween(value: number, low: number, high: number): boolean {
  return low <= value && value <= high;
}

function isSpelledOut(tokens: readonly Token[]): tokens is string[] {
  return tokens.every((token) => typeof token === 'string');
}

/** At most (characters of the name) squared steps: a glob that needs more characters than there are fails at once. */
function wildMatcher(tokens: readonly Token[]): (chars: readonly string[]) => boolean {
  const shortest = tokens.filter((token) => token !== anyRun).length;
  return (chars) => chars.length >= shortest && matchesTokens(tokens, chars);
}

function matchesTokens(tokens: readonly Token[], chars: readonly string[]): boolean {
  let token = 0;
  let char = 0;
  let afterRun = -1;
  let runEnd = 0;
  while (char < chars.length) {
    if (tokens[token] === anyRun) {
      afterRun = ++token;
      runEnd = char;
    } else if (matchesOne(tokens[token], chars[char])) {
      token++;
      char++;
    } else if (afterRun >= 0) {
      token = afterRun;
      char = ++runEnd;
    } else {
      return false;
    }
  }
  return tokens.slice(token).every((rest) => rest === anyRun);
}

function matchesOne(token: Token | undefined, char: string | undefined): boolean {
  if (typeof token === 'function') return char !== undefined && token(char);
  return token !== undefined && token === char;
}
