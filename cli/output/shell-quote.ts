import { isPrintable, unicodeEscape } from '../../common/printable.ts';

const plainWord = /^[\w@%+=:,./-]+$/;

/** The words as bash reads them back, on one line. */
export function shellQuote(argv: readonly string[]): string {
  return argv.map(quoteWord).join(' ');
}

function quoteWord(word: string): string {
  if (plainWord.test(word)) return word;
  if (!isPrintable(word)) return `$'${Array.from(word, ansiC).join('')}'`;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Inside $'…', bash's ANSI-C quoting. */
function ansiC(char: string): string {
  if (char === '\n') return String.raw`\n`;
  if (char === '\t') return String.raw`\t`;
  if (char === '\\' || char === "'") return `\\${char}`;
  return isPrintable(char) ? char : unicodeEscape(char);
}
