/**
 * What no text from elsewhere may hold where people read it: control characters move the cursor and begin lines, also
 * those from U+0080 on; separators begin lines; bidirectional controls turn around what stands beside them; a lone
 * surrogate is no character.
 */
const unprintable = String.raw`\p{Cc}\p{Cs}\p{Bidi_Control}\u2028\u2029`;
const anyUnprintable = new RegExp(`[${unprintable}]`, 'u');
const eachUnprintable = new RegExp(`[${unprintable}]`, 'gu');
/** All that is unprintable, and more: a class of two ranges is found in a fraction of the time. */
const notPlain = /[^ -~]/;

export function isPrintable(text: string): boolean {
  return !anyUnprintable.test(text);
}

/** Names and reasons come from elsewhere: none of them may move the cursor, begin a line or turn others around. */
export function printable(text: string): string {
  return text.replaceAll(eachUnprintable, escaped);
}

/** One line of JSON that says the same wherever it is shown: JSON itself escapes only some of them. */
export function jsonLine(value: unknown): string {
  const json = JSON.stringify(value);
  // Of what is ASCII it leaves only this one; to ask for both takes a third of the time of a regular expression.
  const isPlain = Buffer.byteLength(json) === json.length && !json.includes('\u007f');
  return isPlain ? json : escapedJson(json);
}

/** The same of a value that is JSON already. */
export function escapedJson(json: string): string {
  return notPlain.test(json) ? json.replaceAll(eachUnprintable, unicodeEscape) : json;
}

/** `\u001b`, as JSON, JavaScript and bash's `$'…'` have it. */
export function unicodeEscape(char: string): string {
  return `\\u${hex(char.charCodeAt(0), 4)}`;
}

function escaped(char: string): string {
  if (char === '\n') return String.raw`\n`;
  if (char === '\t') return String.raw`\t`;
  const code = char.charCodeAt(0);
  return code < 0x100 ? `\\x${hex(code, 2)}` : unicodeEscape(char);
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
