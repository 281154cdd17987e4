import { once } from 'node:events';
import { Writable } from 'node:stream';
import { WriteStream } from 'node:tty';
import { isSystemError } from '../common/errors.ts';
import type { TerminalSize } from '../common/client-terminal.ts';
import type { Sink } from './output/sink.ts';
import { sizeOf, TerminalSession } from './terminal-session.ts';

type Output = Writable & { readonly isTTY?: boolean };

/** What a shell reports of a program that wrote into a closed pipe: 128 + SIGPIPE. */
export const closedPipeExitCode = 141;

/** This process's standard streams. */
export class Terminal implements Sink {
  readonly #stdout: Output;
  readonly #stderr: Output;
  readonly #stdin: NodeJS.ReadStream;
  readonly #broken = new Set<Output>();
  #onReaderGone: () => void = () => process.exit(closedPipeExitCode);

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

  /** The size of the screen that somebody types at. */
  get size(): TerminalSize | undefined {
    return this.#stdin.isTTY && isScreen(this.#stdout) ? sizeOf(this.#stdout) : undefined;
  }

  /** How wide what goes to stdout may be; off a terminal, as wide as it likes. */
  get columns(): number {
    return isScreen(this.#stdout) ? sizeOf(this.#stdout).columns : Infinity;
  }

  /** Of the screen that stderr goes to. */
  get screenSize(): TerminalSize {
    return isScreen(this.#stderr) ? sizeOf(this.#stderr) : { rows: 24, columns: 80 };
  }

  /** Calls back at a new size of it, and when this process goes on after it was stopped, until disposed of. */
  onScreenChange(resized: () => void, resumed: () => void): Disposable {
    this.#stderr.on('resize', resized);
    process.on('SIGCONT', resumed);
    return {
      [Symbol.dispose]: () => {
        this.#stderr.off('resize', resized);
        process.off('SIGCONT', resumed);
      },
    };
  }

  /** Lends it to a program elsewhere; only where there is a `size`. `hangUp`: it went away; else this process ends. */
  lend(hangUp?: () => void): TerminalSession | undefined {
    return this.#stdin.isTTY && isScreen(this.#stdout)
      ? new TerminalSession(this.#stdin, this.#stdout, hangUp)
      : undefined;
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
      // A stream that is broken never drains.
      if (stream.writableNeedDrain && !this.#broken.has(stream))
        await once(stream, 'drain').catch(() => undefined);
    }
  }

  /** One line of the user's, asked for on stderr. Rejects with an AbortError at Ctrl-C. */
  ask(question: string): Promise<string> {
    return this.#ask(question, this.#stderr);
  }

  /** The same, and what is typed does not show. */
  async askSecret(question: string): Promise<string> {
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    try {
      return await this.#ask(question, nowhere);
    } finally {
      this.stderr('\n');
    }
  }

  async #ask(question: string, output: Writable): Promise<string> {
    // Few commands ask.
    const { createInterface } = await import('node:readline/promises');
    const lines = createInterface({ input: this.#stdin, output, terminal: true });
    // Only now does the terminal itself no longer show what is typed.
    if (output !== this.#stderr) this.stderr(question);
    const interrupted = new AbortController();
    lines.once('SIGINT', () => interrupted.abort());
    lines.once('close', () => interrupted.abort());
    try {
      return await lines.question(question, { signal: interrupted.signal });
    } finally {
      lines.close();
    }
  }

  /** From now on this happens when nobody reads stdout any more, in place of the end of this process. */
  onReaderGone(act: () => void): void {
    this.#onReaderGone = act;
  }

  /** Ends the process as SIGPIPE would when nobody reads stdout any more (`| head`). */
  endWithReader(): void {
    this.#stderr.on('error', () => void this.#broken.add(this.#stderr));
    this.#stdout.on('error', (error) => {
      const isKnown = this.#broken.has(this.#stdout);
      this.#broken.add(this.#stdout);
      if (isKnown || isSystemError(error, 'EPIPE')) {
        if (!isKnown) this.#onReaderGone();
        return;
      }
      this.stderr(`kompose: cannot write to stdout: ${error.message}\n`);
      process.exit(1);
    });
  }
}

function isScreen(output: Output): output is WriteStream {
  return output instanceof WriteStream;
}
