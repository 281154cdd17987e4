/**
 * Reads a `.env` file to the same variables as docker compose does (compose-go's package `dotenv`). The npm
 * package of that name cannot serve: it drops the quotes, on which expansion depends, cuts `a=b#c` at the `#`, and
 * takes `a:b` and a `KEY` alone for nothing.
 */
import { KomposeError } from '../../common/errors.ts';
import { quoted } from '../../common/quoted.ts';
import { expandVariables } from './env-expansion.ts';

export type Lookup = (name: string) => string | undefined;

/** Where `${VAR}` looks beside the file itself: `wins` before what the file has set so far, `falls` after it. */
export interface EnvLookups {
  readonly wins: Lookup;
  readonly falls: Lookup;
  /** Told each variable as it is read, also of a file that fails further down. */
  readonly seen?: (name: string, value: string) => void;
}

interface Cursor {
  readonly text: string;
  at: number;
}

type Fail = (problem: string) => never;

const escapes: ReadonlyMap<string, string> = new Map([
  ['\\a', '\x07'],
  ['\\b', '\b'],
  ['\\f', '\f'],
  ['\\n', '\n'],
  ['\\r', '\r'],
  ['\\t', '\t'],
  ['\\v', '\v'],
  ['\\"', '"'],
  ['\\\\', '\\'],
  // Expansion makes it one again.
  ['\\$', '$$'],
]);

/**
 * `text` is data: nothing in it is run. The result holds the file's own variables in their order; `KEY` alone takes
 * its value from the lookups and is left out where they have none. Throws `failed` with `fileName` and the line,
 * and never shows a value.
 */
export function parseEnvFile(
  text: string,
  { wins, falls, seen }: EnvLookups,
  fileName: string,
): Map<string, string> {
  const variables = new Map<string, string>();
  const lookup: Lookup = (name) => wins(name) ?? variables.get(name) ?? falls(name);
  const cursor: Cursor = { text: text.startsWith('\uFEFF') ? text.slice(1) : text, at: 0 };
  while (skipToStatement(cursor)) {
    const start = cursor.at;
    const fail: Fail = (problem) => {
      throw new KomposeError('failed', `${fileName}:${lineNumber(cursor.text, start)}: ${problem}`);
    };
    const { name, hasValue } = readName(cursor, fail);
    const failValue: Fail = (problem) => fail(`the value of ${name} cannot be read: ${problem}`);
    const value = hasValue ? readValue(cursor, lookup, failValue) : lookup(name);
    if (value?.includes('\0') === true) failValue('it holds a NUL character; remove it');
    if (value === undefined) continue;
    variables.set(name, value);
    seen?.(name, value);
  }
  return variables;
}

/** Skips blanks, line ends and comments; false at the end of the text. */
function skipToStatement(cursor: Cursor): boolean {
  do {
    take(cursor, /\p{White_Space}*/uy);
  } while (take(cursor, /#[^\n]*/y) !== '');
  return cursor.at < cursor.text.length;
}

/** `export KEY =`, `KEY:`, or `KEY` with nothing behind it. Ends behind the separator and its blanks. */
function readName(cursor: Cursor, fail: Fail): { name: string; hasValue: boolean } {
  take(cursor, /export(?=[\t\n\f\r ])/y);
  skipBlanks(cursor);
  const name = take(cursor, /[\p{L}\p{N}_.[\]-]*/uy);
  skipBlanks(cursor);
  const separator = take(cursor, /[=:]|\n|$/y);
  const isEnd = separator === '' && cursor.at === cursor.text.length;
  if (separator === '' && !isEnd) {
    const wrong = String.fromCodePoint(cursor.text.codePointAt(cursor.at) ?? 0);
    fail(
      `${quoted(wrong)} cannot be ${name === '' ? 'in' : `after ${quoted(name)} in`} a variable's name; write NAME=value`,
    );
  }
  const hasValue = separator === '=' || separator === ':';
  if (name === '' && hasValue) fail(`no variable's name before "${separator}"; write NAME=value`);
  if (hasValue) skipBlanks(cursor);
  return { name, hasValue };
}

/** Blanks of one line, as compose-go counts them. */
function skipBlanks(cursor: Cursor): void {
  take(cursor, /[\t\v\f\r \u0085\u00a0]*/y);
}

function readValue(cursor: Cursor, lookup: Lookup, fail: Fail): string {
  const quote = cursor.text[cursor.at];
  if (quote === '"') return expandVariables(unescape(readQuoted(cursor, fail)), { lookup, fail });
  if (quote === "'") return readQuoted(cursor, fail);
  const line = take(cursor, /[^\n]*/y);
  const comment = line.indexOf(' #');
  const bare = (comment < 0 ? line : line.slice(0, comment)).trimEnd();
  return expandVariables(bare, { lookup, fail });
}

/** What stands between the quotes, over several lines if need be, escaped quotes without their backslash. */
function readQuoted(cursor: Cursor, fail: Fail): string {
  const quote = cursor.text[cursor.at];
  const start = cursor.at + 1;
  for (let at = start; at < cursor.text.length; at++) {
    if (cursor.text[at] === '\\') at++;
    else if (cursor.text[at] === quote) {
      cursor.at = at + 1;
      return cursor.text
        .slice(start, at)
        .replaceAll(/\\([^])/g, (pair, char: string) => (char === quote ? char : pair));
    }
  }
  return fail(`the quote ${quote} is not closed; add it at the value's end`);
}

/** Of double quotes. An unknown escape stays; an octal one that is no byte loses its 0, as in compose-go. */
function unescape(text: string): string {
  return text.replaceAll(/\\(?:[abcfnrtv$"\\]|0\d{0,3})/g, (escape) => {
    if (!escape.startsWith('\\0')) return escapes.get(escape) ?? escape;
    const digits = escape.slice(2);
    return /^[0-3][0-7]{2}$/.test(digits) ? String.fromCharCode(Number.parseInt(digits, 8)) : `\\${digits}`;
  });
}

/** Takes what the sticky `pattern` matches here; may be empty. */
function take(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(cursor.text)?.[0] ?? '';
  cursor.at += found.length;
  return found;
}

function lineNumber(text: string, at: number): number {
  return text.slice(0, at).split('\n').length;
}
