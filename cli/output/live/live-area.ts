import { stripVTControlCharacters } from 'node:util';
import type { TerminalSize } from '../../../common/client-terminal.ts';
import type { Sink } from '../sink.ts';
import { harmless } from '../terminal-text.ts';
import { textWidth } from '../text-width.ts';

/** More than this is not kept back until the next frame. */
const mostHeld = 64 * 1024;

/**
 * The last rows of a terminal, drawn anew in place while whole lines scroll by above; those stay in the terminal's
 * history as they would without it. Before `begin` and after `end` everything passes unchanged.
 *
 * INVARIANTS
 * - The cursor is at the beginning of the row below the area, so that a process that is killed leaves a clean prompt,
 *   and `#shown` is what is right above it.
 * - What was written above comes out in order and before the area; `#held` goes out at the latest with the next frame.
 */
export class LiveArea implements Sink {
  readonly #sink: Sink;
  readonly #size: () => TerminalSize;
  readonly #isStdoutShown: boolean;
  #isOn = false;
  #held = '';
  #shown: readonly string[] = [];

  /** It is drawn on stderr; `isStdoutShown` on the same screen, too. */
  constructor(sink: Sink, size: () => TerminalSize, isStdoutShown: boolean) {
    this.#sink = sink;
    this.#size = size;
    this.#isStdoutShown = isStdoutShown;
  }

  begin(): void {
    this.#isOn = true;
  }

  stdout(data: string | Uint8Array): void {
    if (this.#isOn && this.#isStdoutShown) this.#above(data);
    else this.#sink.stdout(data);
  }

  stderr(data: string | Uint8Array): void {
    if (this.#isOn) this.#above(data);
    else this.#sink.stderr(data);
  }

  /** Lines in place of those that are there, below what was written since. */
  draw(lines: readonly string[]): void {
    if (!this.#isOn || (this.#held === '' && isEqual(lines, this.#shown))) return;
    this.#sink.stderr(`${this.#erase()}${this.#held}${lines.map((line) => `${line}\n`).join('')}`);
    this.#held = '';
    this.#shown = lines;
  }

  /** Somebody else has written on the screen: what is there is theirs. */
  forget(): void {
    this.#shown = [];
  }

  /** Takes the area away; what was written above stays. */
  end(): void {
    this.draw([]);
    this.#isOn = false;
  }

  #above(data: string | Uint8Array): void {
    this.#held += harmless(typeof data === 'string' ? data : Buffer.from(data).toString('utf8'));
    if (this.#held.length > mostHeld) this.draw(this.#shown);
  }

  /** Lines that were drawn on a wider screen take several rows of it now. */
  #erase(): string {
    const { columns } = this.#size();
    const rows = this.#shown.reduce((sum, line) => sum + rowsOf(line, columns), 0);
    return rows === 0 ? '' : `\r\u001b[${rows}A\u001b[J`;
  }
}

function rowsOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil(textWidth(stripVTControlCharacters(line)) / columns));
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((line, index) => line === b[index]);
}
