/**
 * The words of a line that is being typed, as bash splits it; the last one is under the cursor, perhaps empty or with
 * its quote still open. Pure.
 */
export function shellWords(line: string): string[] {
  const words = [''];
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? '';
    if (quote !== '' && char === quote) quote = '';
    else if (quote === '' && (char === '"' || char === "'")) quote = char;
    else if (char === '\\' && quote !== "'") add(words, line[++at] ?? '');
    else if (quote === '' && /\s/.test(char)) {
      if (words.at(-1) !== '' || /["']/.test(line[at - 1] ?? '')) words.push('');
    } else add(words, char);
  }
  return words;
}

function add(words: string[], char: string): void {
  words.push(`${words.pop() ?? ''}${char}`);
}
