const cutSequence = new RegExp(String.raw`\u001b(?:\[[0-?]*)?$`);
const tokens = new RegExp(String.raw`\u001b\[[0-?]*[@-~]|[^]`, 'gu');

/**
 * What a terminal shows of what is written to it, as far as kompose writes: line ends, cursor up, erasing to the end,
 * colours, breaking of long lines (one cell a character), and the history of what scrolled away.
 */
export class EmulatedScreen {
  readonly #rows: number;
  #columns: number;
  #lines: string[] = [''];
  /** Rows that go on with the line of the row before. */
  readonly #continued = new Set<number>();
  #row = 0;
  #column = 0;
  #rest = '';

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  /** The history and the screen, top to bottom, without blanks and empty lines at the end. */
  get text(): string {
    return this.#lines
      .map((line) => line.trimEnd())
      .join('\n')
      .trimEnd();
  }

  /** Breaks lines anew, as most terminals do. The cursor must be at the beginning of a row. */
  resize(columns: number): void {
    const whole: string[] = [];
    for (const [index, line] of this.#lines.slice(0, this.#row).entries()) {
      if (this.#continued.has(index)) whole.push(`${whole.pop() ?? ''}${line}`);
      else whole.push(line);
    }
    this.#columns = columns;
    this.#lines = [''];
    this.#row = 0;
    this.#continued.clear();
    this.write(whole.map((line) => `${line}\n`).join(''));
  }

  write(data: string | Uint8Array): void {
    const text = this.#rest + (typeof data === 'string' ? data : Buffer.from(data).toString('utf8'));
    const cut = cutSequence.exec(text);
    this.#rest = cut?.[0] ?? '';
    for (const [token] of text.slice(0, cut?.index).matchAll(tokens)) this.#take(token);
  }

  #take(token: string): void {
    if (token === '\n') this.#down();
    else if (token === '\r') this.#column = 0;
    else if (!token.startsWith('\u001b')) this.#put(token);
    else if (token.endsWith('A')) this.#up(Number(token.slice(2, -1)));
    else if (token === '\u001b[J') this.#erase();
    else if (!token.endsWith('m')) throw new Error(`a terminal is told ${JSON.stringify(token)}`);
  }

  #down(): void {
    this.#row++;
    this.#continued.delete(this.#row);
    this.#column = 0;
    if (this.#row === this.#lines.length) this.#lines.push('');
  }

  /** Not into the history. */
  #up(rows: number): void {
    this.#row = Math.max(0, this.#lines.length - this.#rows, this.#row - rows);
  }

  #erase(): void {
    this.#lines.length = this.#row + 1;
    this.#lines[this.#row] = (this.#lines[this.#row] ?? '').slice(0, this.#column);
  }

  #put(char: string): void {
    if (this.#column >= this.#columns) {
      this.#down();
      this.#continued.add(this.#row);
    }
    const line = (this.#lines[this.#row] ?? '').padEnd(this.#column);
    this.#lines[this.#row] = line.slice(0, this.#column) + char + line.slice(this.#column + 1);
    this.#column++;
  }
}
