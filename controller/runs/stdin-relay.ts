import { KomposeError } from '../../common/errors.ts';
import { stdinWindowBytes } from '../../common/stdin-window.ts';

/** A piece of the client's stdin; `offset` counts bytes from the first. */
export interface StdinPiece {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly isEnd: boolean;
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
  #isEnded = false;
  #send: ((piece: StdinPiece) => void) | undefined;
  #tell: ((taken: number) => void) | undefined;

  /** No byte will come any more. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** The client hears how far the action is, as soon as that is known. */
  reportTo(tell: (taken: number) => void): void {
    this.#tell = tell;
    if (this.#send !== undefined) tell(this.#taken);
  }

  /** From the client. Throws `protocol`. */
  write(data: Uint8Array, isEnd: boolean): void {
    if (this.#isEnded) throw new KomposeError('protocol', 'stdin goes on after its end');
    if (this.#length + data.length - this.#taken > stdinWindowBytes) {
      throw new KomposeError('protocol', 'the client sends its stdin faster than it may');
    }
    const piece = { offset: this.#length, data, isEnd };
    this.#length += data.length;
    this.#isEnded = isEnd;
    this.#kept.push(piece);
    this.#send?.(piece);
  }

  /** An agent's link for the task is open: what it lacks is sent (again). */
  attach(send: (piece: StdinPiece) => void): void {
    this.#send = send;
    for (const piece of this.#kept) send(piece);
  }

  /** That link is gone; nothing happens if another has taken its place. */
  detach(send: (piece: StdinPiece) => void): void {
    if (this.#send === send) this.#send = undefined;
  }

  /** The agent says how much the action has taken. */
  progress(taken: number): void {
    this.#taken = Math.max(this.#taken, Math.min(taken, this.#length));
    this.#kept = this.#kept.filter(({ offset, data, isEnd }) => isEnd || offset + data.length > this.#taken);
    this.#tell?.(this.#taken);
  }
}
