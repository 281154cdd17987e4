import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { createInterface } from 'node:readline/promises';
import { isSystemError } from '../common/errors.ts';
import type { Sink } from './output/sink.ts';

type Output = Writable & { readonly isTTY?: boolean };

/** What a shell reports of a program that wrote into a closed pipe: 128 + SIGPIPE. */
const closedPipeExitCode = 141;

/** This process's standard streams. */
export class Terminal implements Sink {
  readonly #stdout: Output;
  readonly #stderr: Output;
  readonly #stdin: NodeJS.ReadStream;

  constructor({ stdin, stdout, stderr }: Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr'>) {
    this.#stdin = stdin;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  get isStdoutTerminal(): boolean {
    return this.#stdout.isTTY === true;
  }

  get isStderrTerminal(): boolean {
    return this.#stderr.isTTY === true;
  }

  /** Somebody is there to be asked. */
  get canAsk(): boolean {
    return this.#stdin.isTTY && this.isStderrTerminal;
  }

  /** What is piped into us, for the action of a run. */
  get stdin(): AsyncIterable<Uint8Array> {
    return this.#stdin;
  }

  /** Stdin is a file or a pipe, which a command may want to read. */
  get hasPipedStdin(): boolean {
    return !this.#stdin.isTTY;
  }

  stdout(data: string | Uint8Array): void {
    this.#stdout.write(data);
  }

  stderr(data: string | Uint8Array): void {
    this.#stderr.write(data);
  }

  /** Waits while a reader is slower than what is written. */
  async drained(): Promise<void> {
    for (const stream of [this.#stdout, this.#stderr]) {
      if (stream.writableNeedDrain) await once(stream, 'drain');
    }
  }

  /** One line of the user's, asked for on stderr. Rejects with an AbortError at Ctrl-C. */
  async ask(question: string): Promise<string> {
    const lines = createInterface({ input: this.#stdin, output: this.#stderr, terminal: true });
    const interrupted = new AbortController();
    lines.once('SIGINT', () => interrupted.abort());
    lines.once('close', () => interrupted.abort());
    try {
      return await lines.question(question, { signal: interrupted.signal });
    } finally {
      lines.close();
    }
  }

  /** Ends the process as SIGPIPE would when nobody reads stdout any more (`| head`). */
  endWithReader(): void {
    this.#stdout.on('error', (error) => {
      if (isSystemError(error, 'EPIPE')) process.exit(closedPipeExitCode);
      this.stderr(`kompose: cannot write to stdout: ${error.message}\n`);
      process.exit(1);
    });
    this.#stderr.on('error', () => {});
  }
}
