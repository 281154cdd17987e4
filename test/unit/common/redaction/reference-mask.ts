import { mark, secretPatterns } from '../../../../common/redaction/secret-patterns.ts';

/** A line break inside base64 text counts as one that an encoder made, behind 32 characters of it. */
const encodersLine = /[A-Za-z0-9+/\-_]{32}$/;

/**
 * What masking is to do, in the plainest way: mark in the whole text all bytes of all occurrences of all
 * patterns, then write one mark for each run of such bytes. Byte strings in and out.
 */
export function referenceMask(text: string, values: readonly string[]): string {
  const { literal, base64 } = secretPatterns(values);
  const hidden = Array.from(text, () => false);
  const hide = (start: number, end: number): void => void hidden.fill(true, start, end);
  for (const pattern of literal) {
    const bytes = Buffer.from(pattern).toString('latin1');
    for (let at = text.indexOf(bytes); at !== -1; at = text.indexOf(bytes, at + 1))
      hide(at, at + bytes.length);
  }
  for (const pattern of base64) {
    const characters = Array.from(Buffer.from(pattern).toString('latin1'), (each) =>
      each.replace('+', '\\+'),
    );
    const broken = new RegExp(characters.join('(?:\\r?\\n)?'), 'y');
    for (let at = 0; at < text.length; at++) {
      broken.lastIndex = at;
      const [found] = broken.exec(text) ?? [];
      if (found !== undefined && areEncoders(text, at, found)) hide(at, at + found.length);
    }
  }
  return Array.from(text, (byte, at) => {
    if (hidden[at] !== true) return byte;
    return hidden[at - 1] === true ? '' : mark;
  }).join('');
}

function areEncoders(text: string, at: number, found: string): boolean {
  return Array.from(found.matchAll(/\r?\n/g)).every(({ index }) =>
    encodersLine.test(text.slice(Math.max(0, at + index - 32), at + index)),
  );
}
