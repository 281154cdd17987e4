/* East Asian wide and fullwidth characters (Unicode's EastAsianWidth.txt), and what is an emoji by itself. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18cff}\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;
const none = /\p{Mn}|\p{Me}|\u200b|\u200c|\u200d|\u2060/u;
/** May widen what it follows. */
const emojiSelector = '\ufe0f';
const ascii = /^[ -~]*$/;

/**
 * The cells of a terminal that a text without control characters takes. Terminals differ on joined emoji: it is never
 * less than what they take, so that what fits by this measure does fit.
 */
export function textWidth(text: string): number {
  if (ascii.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

function charWidth(char: string): number {
  if (none.test(char) && char !== emojiSelector) return 0;
  return wide.test(char) ? 2 : 1;
}

/** Blanks behind it up to the width. */
export function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - textWidth(text)));
}

/** The beginning that fits, with `…` in place of what does not. */
export function cutTo(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  return width < 1 ? '' : `${beginning(text, width - 1)}…`;
}

/** Lines of at most `width` cells, broken at blanks where there are any; at least one. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.pop() ?? '';
    const joined = line === '' ? word : `${line} ${word}`;
    if (line === '' || textWidth(joined) <= width) lines.push(...pieces(joined, width));
    else lines.push(line, ...pieces(word, width));
  }
  return lines;
}

function pieces(word: string, width: number): string[] {
  const lines: string[] = [];
  let rest = word;
  while (textWidth(rest) > width) {
    const piece = fitting(rest, width);
    lines.push(piece);
    rest = rest.slice(piece.length);
  }
  return [...lines, rest];
}

/** At least one character, or there would be no end. */
function fitting(text: string, width: number): string {
  return beginning(text, Math.max(2, width));
}

function beginning(text: string, width: number): string {
  let left = width;
  let end = 0;
  for (const char of text) {
    left -= charWidth(char);
    if (left < 0) break;
    end += char.length;
  }
  return text.slice(0, end);
}
