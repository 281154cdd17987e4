import { setTimeout as delay } from 'node:timers/promises';
import { spawn, type IPty } from '@lydell/node-pty';

export interface ScreenOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly rows?: number;
  readonly columns?: number;
}

/** A program on a pseudo-terminal of ours, with somebody who types and looks on. */
export class Screen implements Disposable {
  readonly #ended: Promise<number>;
  readonly #pty: IPty;
  #text = '';
  #seen = 0;
  #changed = Promise.withResolvers<void>();
  #isOver = false;

  constructor(argv: readonly [string, ...string[]], { env, rows = 24, columns = 80 }: ScreenOptions) {
    const [file, ...args] = argv;
    this.#pty = spawn(file, args, { env, rows, cols: columns, name: env['TERM'] ?? 'xterm-256color' });
    this.#pty.onData((text) => {
      this.#text += text;
      this.#wake();
    });
    this.#ended = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode, signal }) => {
        this.#isOver = true;
        this.#wake();
        resolve(signal === undefined || signal === 0 ? exitCode : 128 + signal);
      });
    });
  }

  get pid(): number {
    return this.#pty.pid;
  }

  /** The exit code, once it has ended. */
  async ends(timeoutMs = 20_000): Promise<number> {
    const late = delay(timeoutMs, undefined, { ref: false });
    const exitCode = await Promise.race([this.#ended, late]);
    if (exitCode === undefined) throw new Error(`it goes on: ${JSON.stringify(this.#text)}`);
    return exitCode;
  }

  /** All that it has shown. */
  get text(): string {
    return this.#text;
  }

  type(text: string): void {
    this.#pty.write(text);
  }

  resize(columns: number, rows: number): void {
    this.#pty.resize(columns, rows);
  }

  /** Waits for something behind what was waited for before; gives the match. */
  async shows(what: RegExp, timeoutMs = 20_000): Promise<RegExpExecArray> {
    const late = delay(timeoutMs, undefined, { ref: false }).then(() => true);
    for (;;) {
      const match = what.exec(this.#text.slice(this.#seen));
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return match;
      }
      const isOver = this.#isOver || (await Promise.race([this.#changed.promise, late])) === true;
      if (isOver) throw new Error(`${String(what)} did not show: ${JSON.stringify(this.#text)}`);
    }
  }

  [Symbol.dispose](): void {
    if (!this.#isOver) this.#pty.kill('SIGKILL');
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
