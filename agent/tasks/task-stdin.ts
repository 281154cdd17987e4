import type { Writable } from 'node:stream';
import type { ClientTerminal, TerminalSize } from '../../common/client-terminal.ts';
import { KomposeError } from '../../common/errors.ts';

/** A piece of the client's stdin; `offset` counts bytes from the first. */
export interface StdinPiece {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly isEnd: boolean;
  /** Over all of this; of a piece that comes from this host itself there is none. */
  readonly mark?: Uint8Array;
}

/** So much is taken before it is told again: of what is typed, each key would else be answered by one message more. */
const toldEachBytes = 64 * 1024;

/** Lets in what is from the user whose task it is for. */
export interface StdinGuard {
  /** This host's half of the key that their pieces are marked by. */
  readonly publicKey: Uint8Array;
  readonly isTheirs: (piece: StdinPiece) => boolean;
}

/** Of what comes from this host itself. */
const noGuard: StdinGuard = { publicKey: new Uint8Array(), isTheirs: () => true };

/*
 * The stdin of a task's action, on its way from the link to the process.
 *
 * INVARIANTS
 * - Each byte reaches the process once and in order, however often links deliver it.
 * - What waits here is bounded by the window: the sender stops when that much is not taken.
 * - Once the process reads no more, the rest counts as taken, so that nobody waits for a reader that is gone.
 */
export class TaskStdin {
  #received = 0;
  #taken = 0;
  /** So much of that has been told. */
  #told = 0;
  #isEnded = false;
  #waiting: Uint8Array[] = [];
  #process: Writable | undefined;
  #isClosed = false;
  /** Resolves when the process takes more, or no more at all. */
  #room = Promise.withResolvers<void>();
  #isPumping = false;
  #tell: (taken: number, key: Uint8Array) => void = () => undefined;
  readonly #guard: StdinGuard;
  #terminal: ClientTerminal | undefined;
  #onResize: (size: TerminalSize) => void = () => undefined;
  #onGiven: () => void = () => undefined;

  /** `terminal` is where it is typed; without one it comes from a pipe or a file. */
  constructor(terminal?: ClientTerminal, guard = noGuard) {
    this.#terminal = terminal;
    this.#guard = guard;
  }

  /** With its size as it is now. */
  get terminal(): ClientTerminal | undefined {
    return this.#terminal;
  }

  /** The client's terminal has a new size. */
  resize(size: TerminalSize): void {
    if (this.#terminal === undefined) return;
    this.#terminal = { ...this.#terminal, ...size };
    this.#onResize(size);
  }

  /** The terminal that it is typed into: from now on that one follows the client's. */
  connectTerminal(input: Writable, onResize: (size: TerminalSize) => void, onGiven: () => void): void {
    this.#onResize = onResize;
    if (this.#terminal !== undefined) onResize(this.#terminal);
    this.connect(input, onGiven);
  }

  /**
   * `tell` hears at once, and with each 64 KiB, how many bytes were taken, until the last has been received, and this
   * host's half of the key for them. A later link's takes its place.
   */
  reportTo(tell: (taken: number, key: Uint8Array) => void): void {
    this.#tell = tell;
    this.#report();
  }

  #report(): void {
    this.#told = this.#taken;
    if (!this.#isEnded) this.#tell(this.#taken, this.#guard.publicKey);
  }

  /** Throws `denied` for a piece that is not the user's, `protocol` for one that comes after a gap. */
  receive(piece: StdinPiece): void {
    const { offset, data, isEnd } = piece;
    if (!this.#guard.isTheirs(piece))
      throw new KomposeError('denied', 'a piece of stdin is not what its user sent');
    if (offset > this.#received) throw new KomposeError('protocol', `stdin has a gap before byte ${offset}`);
    const fresh = data.subarray(this.#received - offset);
    this.#received += fresh.length;
    if (fresh.length > 0) this.#waiting.push(fresh);
    this.#isEnded ||= isEnd;
    void this.#pump();
  }

  /** The process that reads it; `onGiven` hears of each piece that it is given. */
  connect(process: Writable, onGiven: () => void): void {
    this.#process = process;
    this.#onGiven = onGiven;
    const close = (): void => {
      this.#isClosed = true;
      this.#room.resolve();
      void this.#pump();
    };
    process.on('drain', () => this.#room.resolve());
    process.once('error', close);
    process.once('close', close);
    void this.#pump();
  }

  async #pump(): Promise<void> {
    if (this.#isPumping || this.#process === undefined) return;
    this.#isPumping = true;
    for (let piece = this.#waiting.shift(); piece !== undefined; piece = this.#waiting.shift()) {
      this.#onGiven();
      await this.#give(this.#process, piece);
      this.#taken += piece.length;
      if (this.#taken - this.#told >= toldEachBytes) this.#report();
    }
    this.#isPumping = false;
    if (this.#isEnded && !this.#isClosed) this.#process.end();
  }

  async #give(process: Writable, piece: Uint8Array): Promise<void> {
    if (this.#isClosed || process.write(piece)) return;
    this.#room = Promise.withResolvers();
    await this.#room.promise;
  }
}
