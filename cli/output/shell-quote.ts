const plainWord = /^[\w@%+=:,./-]+$/;

/** The words as bash reads them back, on one line. */
export function shellQuote(argv: readonly string[]): string {
  return argv.map(quoteWord).join(' ');
}

function quoteWord(word: string): string {
  if (plainWord.test(word)) return word;
  if (/\p{Cc}/u.test(word)) return `$'${word.replaceAll(/[\\'\p{Cc}]/gu, ansiC)}'`;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Inside $'…', bash's ANSI-C quoting. */
function ansiC(char: string): string {
  if (char === '\n') return String.raw`\n`;
  if (char === '\t') return String.raw`\t`;
  if (char === '\\' || char === "'") return `\\${char}`;
  return `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}
