import { jsonLine } from './printable.ts';

const longest = 80;

/** `text` as a one-line message shows it: in double quotes, control characters escaped, cut when it is long. */
export function quoted(text: string): string {
  const shown = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return jsonLine(shown.toWellFormed());
}
