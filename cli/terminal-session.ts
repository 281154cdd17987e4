import { PassThrough } from 'node:stream';
import type { ReadStream, WriteStream } from 'node:tty';
import type { TerminalSize } from '../common/client-terminal.ts';

/** What a shell reports of a program whose terminal went away: 128 + SIGHUP. */
const hungUpExitCode = 129;

/**
 * Our terminal, lent to the action of a run: between `begin` and `end` every key goes there, also Ctrl-C and Ctrl-Z.
 * It is as it was after `end`, and after the end of this process, which Node takes care of.
 */
export class TerminalSession implements Disposable {
  /** What is typed meanwhile. */
  readonly input = new PassThrough();
  readonly #stdin: ReadStream;
  readonly #stdout: WriteStream;
  #state: 'not begun' | 'begun' | 'over' = 'not begun';
  #onResize: (size: TerminalSize) => void = () => undefined;
  readonly #hangUp: () => void;

  /** `hangUp` is called when the terminal goes away. */
  constructor(stdin: ReadStream, stdout: WriteStream, hangUp: () => void = leave) {
    this.#stdin = stdin;
    this.#stdout = stdout;
    this.#hangUp = hangUp;
  }

  /** Tells of each new size, and of the one at the beginning. */
  listen(onResize: (size: TerminalSize) => void): void {
    this.#onResize = onResize;
  }

  /** Only the first time, and not after `end`. */
  begin(): void {
    if (this.#state !== 'not begun') return;
    this.#state = 'begun';
    this.#stdin.setRawMode(true);
    keepLineEnds();
    this.#stdin.pipe(this.input, { end: false });
    this.#stdin.once('end', this.#hangUp);
    process.once('SIGHUP', this.#hangUp);
    this.#stdout.on('resize', this.#tellSize);
    this.#tellSize();
  }

  end(): void {
    const hasBegun = this.#state === 'begun';
    this.#state = 'over';
    if (!hasBegun) return;
    this.#stdout.off('resize', this.#tellSize);
    process.off('SIGHUP', this.#hangUp);
    this.#stdin.off('end', this.#hangUp);
    this.#stdin.unpipe(this.input);
    this.#stdin.pause();
    this.#stdin.setRawMode(false);
  }

  [Symbol.dispose](): void {
    this.end();
  }

  readonly #tellSize = (): void => this.#onResize(sizeOf(this.#stdout));
}

/** A terminal that knows no size of its own has the one of the first screens. */
export function sizeOf({ rows, columns }: WriteStream): TerminalSize {
  return { rows: rows || 24, columns: columns || 80 };
}

/**
 * Node's raw mode still makes CR LF of each LF, which garbles what a full-screen program paints; no library of ours
 * can say otherwise. Without stty it stays so. No other command waits for this module.
 */
function keepLineEnds(): void {
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
}

function leave(): never {
  process.exit(hungUpExitCode);
}
