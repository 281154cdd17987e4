import type { ClientTerminal, TerminalSize } from '../../common/client-terminal.ts';
import { KomposeError } from '../../common/errors.ts';
import { isStdinMark } from '../../common/signing/stdin-marks.ts';
import { stdinWindowBytes } from '../../common/stdin-window.ts';

/** A piece of the client's stdin; `offset` counts bytes from the first. */
export interface StdinPiece {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly isEnd: boolean;
  /** The user's, over all of this: for the agent to look at. */
  readonly mark: Uint8Array;
}

/** An agent's link for the task. */
export interface StdinLink {
  send(piece: StdinPiece): void;
  resize(size: TerminalSize): void;
}

/*
 * A client's stdin on its way to the one agent that wants it.
 *
 * INVARIANT: what the action has not taken is kept, at most one window of it, and sent again over the agent's next
 * link; a client that sends more than it may is refused.
 */
export class StdinRelay {
  #kept: StdinPiece[] = [];
  #length = 0;
  #taken = 0;
  /** The agent's half of the key that pieces are marked by. */
  #key: Uint8Array = new Uint8Array();
  #isEnded = false;
  #link: StdinLink | undefined;
  #tell: ((taken: number, key: Uint8Array) => void) | undefined;
  #terminal: ClientTerminal | undefined;

  /** `terminal` is where the client's stdin is typed. */
  constructor(terminal?: ClientTerminal) {
    this.#terminal = terminal;
  }

  /** With its size as it is now. */
  get terminal(): ClientTerminal | undefined {
    return this.#terminal;
  }

  /** No byte will come any more. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The client had nothing to give; somebody at a terminal always may have. */
  get isEmpty(): boolean {
    return this.#isEnded && this.#length === 0 && this.#terminal === undefined;
  }

  /** The client hears how far the action is, as soon as that is known, and the agent's half of the key. */
  reportTo(tell: (taken: number, key: Uint8Array) => void): void {
    this.#tell = tell;
    if (this.#link !== undefined) tell(this.#taken, this.#key);
  }

  /** From the client. Throws `protocol`. */
  write({ data, isEnd, mark }: Omit<StdinPiece, 'offset'>): void {
    if (this.#isEnded) throw new KomposeError('protocol', 'stdin goes on after its end');
    if (!isStdinMark(mark) || (data.length === 0 && !isEnd))
      throw new KomposeError('protocol', 'a piece of stdin is without a mark, or without a byte');
    if (this.#length + data.length - this.#taken > stdinWindowBytes) {
      throw new KomposeError('protocol', 'the client sends its stdin faster than it may');
    }
    const piece = { offset: this.#length, data, isEnd, mark };
    this.#length += data.length;
    this.#isEnded = isEnd;
    this.#kept.push(piece);
    this.#link?.send(piece);
  }

  /** An agent's link for the task is open: what it lacks is sent (again). */
  attach(link: StdinLink): void {
    this.#link = link;
    if (this.#terminal !== undefined) link.resize(this.#terminal);
    for (const piece of this.#kept) link.send(piece);
  }

  /** That link is gone; nothing happens if another has taken its place. */
  detach(link: StdinLink): void {
    if (this.#link === link) this.#link = undefined;
  }

  /** The client's terminal has a new size; without a terminal that says nothing. */
  resize(size: TerminalSize): void {
    if (this.#terminal === undefined) return;
    this.#terminal = { ...this.#terminal, ...size };
    this.#link?.resize(size);
  }

  /** The agent says how much the action has taken, and its half of the key. */
  progress(taken: number, key: Uint8Array): void {
    this.#key = key;
    this.#taken = Math.max(this.#taken, Math.min(taken, this.#length));
    this.#kept = this.#kept.filter(({ offset, data, isEnd }) => isEnd || offset + data.length > this.#taken);
    this.#tell?.(this.#taken, this.#key);
  }
}
