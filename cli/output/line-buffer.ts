import { wholeCharacters } from './utf8.ts';

const newline = 10;
const carriageReturn = 13;

/** The most that a line may grow to before it is shown without its end. */
export const longestLineBytes = 64 * 1024;

/**
 * Cuts a stream of bytes into lines, so that lines of several streams can be shown one after the other. What a
 * carriage return would overwrite on a terminal is left out: a progress bar is one line, its last state.
 */
export class LineBuffer {
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  /** The lines (without line feed) that `chunk` completes. A line that grows too long comes in pieces. */
  push(chunk: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = [];
    const isAllVisible = !chunk.includes(carriageReturn);
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const line = this.#take(chunk.subarray(start, end));
      // The first line may have begun in an earlier chunk.
      lines.push(isAllVisible && start > 0 ? line : visible(line));
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk.slice(start));
    if (this.#pendingBytes > longestLineBytes) lines.push(...this.#cut());
    return lines;
  }

  /** What is left when the stream ends, as a line of its own. */
  flush(): Uint8Array[] {
    if (this.#pendingBytes === 0) return [];
    return [visible(this.#take(new Uint8Array()))];
  }

  #hold(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  #take(rest: Uint8Array): Uint8Array {
    if (this.#pending.length === 0) return rest;
    const line = Buffer.concat([...this.#pending, rest]);
    this.#pending = [];
    this.#pendingBytes = 0;
    return line;
  }

  /** Drops what is overwritten anyway; if the line is too long even so, hands out its whole characters. */
  #cut(): Uint8Array[] {
    const line = lastState(this.#take(new Uint8Array()));
    const end = line.length > longestLineBytes ? wholeCharacters(line) : 0;
    if (end < line.length) this.#hold(line.slice(end));
    return end === 0 ? [] : [visible(line.subarray(0, end))];
  }
}

/** What follows the last carriage return but those at the very end: they overwrite nothing yet. */
function lastState(line: Uint8Array): Uint8Array {
  return line.subarray(line.lastIndexOf(carriageReturn, textEnd(line) - 1) + 1);
}

/** The line as a terminal would leave it. */
function visible(line: Uint8Array): Uint8Array {
  return lastState(line.subarray(0, textEnd(line)));
}

function textEnd(line: Uint8Array): number {
  let end = line.length;
  while (end > 0 && line[end - 1] === carriageReturn) end--;
  return end;
}
