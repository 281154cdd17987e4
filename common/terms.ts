/** What all comma lists of globs and `!globs` share, before a glob is looked at by itself. */
import { KomposeError } from './errors.ts';
import { classEnd, type GlobContext } from './glob.ts';
import { isPrintable } from './printable.ts';
import { quoted } from './quoted.ts';

/** A part of what the user wrote, and the index where it begins there. */
export interface Piece {
  readonly text: string;
  readonly offset: number;
}

export interface ListTerm {
  readonly piece: Piece;
  readonly isExcluded: boolean;
}

const maxLength = 4096;
const maxAlternatives = 1024;

/** Checks what holds for any text of globs before it is parsed: its length and its characters. */
export function globContext(what: string, text: string): GlobContext {
  const fail = (problem: string): never => {
    throw new KomposeError('usage', `bad ${what} ${quoted(text)}: ${problem}`);
  };
  if (text.length > maxLength) fail(`it has more than ${maxLength} characters; use globs to say it shorter`);
  const control = Array.from(text).findIndex((char) => !isPrintable(char));
  if (control >= 0) fail(`the control character at character ${control + 1} cannot be in a name; remove it`);
  return { fail, budget: maxAlternatives };
}

/** The terms of a comma list, without blanks and `!`. */
export function splitTerms(text: string, context: GlobContext): ListTerm[] {
  if (text.trim() === '') context.fail('it is empty; for everything write *');
  const commas = topLevel(text, ',');
  return [...commas, text.length].map((end, index) => {
    const start = index === 0 ? 0 : (commas[index - 1] ?? 0) + 1;
    const term = trimmed(text, start, end);
    if (term.text === '') context.fail(`the term at character ${start + 1} is empty; remove the extra comma`);
    if (!term.text.startsWith('!')) return { piece: term, isExcluded: false };
    const piece = trimmed(text, term.offset + 1, end);
    if (piece.text === '' || piece.text.startsWith('!')) {
      context.fail(`"!" at character ${term.offset + 1} excludes nothing; write a name right after one "!"`);
    }
    return { piece, isExcluded: true };
  });
}

function trimmed(text: string, start: number, end: number): Piece {
  const part = text.slice(start, end);
  return { text: part.trim(), offset: start + part.length - part.trimStart().length };
}

/** Where `separator` stands outside braces and brackets. What does not close is left for `parseGlob` to blame. */
export function topLevel(text: string, separator: ',' | ':'): number[] {
  const found: number[] = [];
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '[') at = Math.max(at, classEnd(text, at));
    else if (text[at] === '{') depth++;
    else if (text[at] === '}') depth = Math.max(0, depth - 1);
    else if (text[at] === separator && depth === 0) found.push(at);
  }
  return found;
}
