/** What is wrong with the lines that somebody was shown. */
export interface OutputFaults {
  lostBytes: number;
  doubledBytes: number;
}

const padding = '.'.repeat(86);

/** Prints this many numbered lines of about 100 bytes, once a task, and notes the task. */
export const hooks = `
hook_pre_up() {
  echo "$KOMPOSE_TASK_ID" >>started
  seq -f 'line %.0f ${padding}' 1 "$LINES"
  echo "total $LINES"
}
hook_post_up() { echo 'all done'; }
`;

export const linesAMegabyte = 10_000;

/** Follows the output of one hook, chunk by chunk, and counts what is missing and what came twice. */
export class NumberedOutput {
  readonly faults: OutputFaults = { lostBytes: 0, doubledBytes: 0 };
  #next = 1;
  #rest = '';
  #isEnded = false;

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#take(line);
  }

  /** After the last chunk: the faults, what never came counted as lost. `total` is the number of lines asked for. */
  finish(total: number): OutputFaults {
    if (!this.#isEnded) this.faults.lostBytes += Math.max(1, total + 1 - this.#next) * lineBytes;
    return this.faults;
  }

  #take(line: string): void {
    const [word, number] = line.split(' ');
    const bytes = line.length + 1;
    if (word === 'total' && !this.#isEnded) {
      this.faults.lostBytes += Math.max(0, Number(number) + 1 - this.#next) * lineBytes;
      this.#isEnded = true;
      return;
    }
    const at = word === 'line' && line.endsWith(padding) ? Number(number) : Number.NaN;
    if (at === this.#next) this.#next++;
    else if (at > this.#next) {
      this.faults.lostBytes += (at - this.#next) * lineBytes;
      this.#next = at + 1;
    } else this.faults.doubledBytes += bytes;
  }
}

const lineBytes = 100;
