import { printable } from '../../common/printable.ts';
import { cutTo } from './text-width.ts';

/* ECMA-48: control sequences, and strings such as titles and links. */
const control = String.raw`\u001b\[[0-?]*[ -/]*[@-~]`;
const string = String.raw`\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)`;
const escapes = new RegExp(`(?:${control}|${string})`, 'g');
const pieces = new RegExp(`(?:${control}|${string})|[^\u001b]+|\u001b`, 'g');
const colouring = /^.\[[\d;:]*m$/;
const reset = '\u001b[0m';

/** A line of a host's output as it may go to a terminal that shows more than it. */
export function harmlessBytes(line: Uint8Array): Uint8Array {
  const isPlain = line.every((byte) => byte >= 0x20 && byte < 0x7f);
  return isPlain ? line : Buffer.from(harmlessLine(Buffer.from(line).toString('utf8')));
}

/** Lines of a host's output as they may go to a terminal that shows more than them: colours pass, and end with the line. */
export function harmless(text: string): string {
  return text.split('\n').map(harmlessLine).join('\n');
}

function harmlessLine(line: string): string {
  let last = reset;
  const shown = line.replaceAll(pieces, (piece) => {
    if (!piece.startsWith('\u001b') || piece.length === 1) return piece.split('\t').map(printable).join('\t');
    if (!colouring.test(piece)) return '';
    last = piece;
    return piece;
  });
  return last === reset ? shown : shown + reset;
}

/** More of a line is to be read where it was written. */
const longestText = 200;

/** What there is to read in a line, without colours and tabs; bounded. */
export function plainText(line: Uint8Array): string {
  const text = Buffer.from(line).toString('utf8').replaceAll(escapes, '').replaceAll('\t', ' ');
  return cutTo(printable(text.trim()), longestText);
}
