import type { Writable } from 'node:stream';

/** On its way on one stream: enough for the network, and little for so many streams that nobody reads. */
const mostUnreadBytes = 128 * 1024;

/**
 * Writes at the pace of the one who reads.
 *
 * INVARIANT: one message at a time: `write` is called again only once it has resolved.
 */
export class PacedWriter<Message> {
  readonly #stream: Pick<Writable, 'write'>;
  readonly #sizeOf: (message: Message) => number;
  readonly #signal: AbortSignal;
  #unread = 0;
  #taken = Promise.withResolvers<void>();

  /** `sizeOf` gives about how many bytes. `signal` must fire when the stream ends. */
  constructor(stream: Pick<Writable, 'write'>, sizeOf: (message: Message) => number, signal: AbortSignal) {
    this.#stream = stream;
    this.#sizeOf = sizeOf;
    this.#signal = signal;
    // Not in a race with a promise of the signal's: that would keep something of each wait until the stream ends.
    signal.addEventListener('abort', () => this.#taken.resolve(), { once: true });
  }

  /** Resolves when there is room for another. Rejects with the signal's reason. */
  async write(message: Message): Promise<void> {
    this.#signal.throwIfAborted();
    const bytes = this.#sizeOf(message);
    this.#unread += bytes;
    this.#stream.write(message, () => {
      this.#unread -= bytes;
      this.#taken.resolve();
    });
    while (this.#unread > mostUnreadBytes) {
      this.#signal.throwIfAborted();
      this.#taken = Promise.withResolvers();
      await this.#taken.promise;
    }
  }
}
