import { decodeTaskEvent } from '../../proto/event-codec.ts';
import type { TaskSpool } from '../tasks/task-spool.ts';

/** How many events, of at most 64 KiB, may wait for the onlooker before whoever goes at its pace is paused. */
const backlog = 32;

/*
 * Somebody on this host who looks at a task's events as they are kept, at a pace of their own.
 *
 * INVARIANT: what waits for the onlooker waits in the spool's file; nothing is held in memory for it but a block.
 */
export class Onlooker {
  readonly #spool: TaskSpool;
  readonly #show: (timeMs: number, event: Uint8Array) => Promise<void>;
  #shown: number;
  #isGone = false;
  #moved = Promise.withResolvers<void>();

  /** `shown`: the number of the last event that has been shown already. */
  constructor(spool: TaskSpool, show: (timeMs: number, event: Uint8Array) => Promise<void>, shown = 0) {
    this.#shown = shown;
    this.#spool = spool;
    this.#show = show;
  }

  /** Shows all events that were not, to the last; resolves then, or when it is `gone`. Never rejects. */
  async look(gone: AbortSignal): Promise<void> {
    try {
      for await (const records of this.#spool.log.read(this.#shown, gone)) {
        for (const { seq, bytes } of records) {
          await this.#show(decodeTaskEvent(bytes).timeMs, bytes);
          this.#shown = seq;
          this.#move();
        }
      }
    } catch {
      // Gone: nobody is kept waiting for it.
    }
    this.#isGone = true;
    this.#move();
  }

  /** Resolves when few enough events wait, or the onlooker or `signal` says that nobody will come for them. */
  async caughtUp(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#move();
    signal.addEventListener('abort', stop, { once: true });
    try {
      while (!this.#isGone && !signal.aborted && this.#spool.log.count - this.#shown > backlog)
        await this.#moved.promise;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #move(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }
}
