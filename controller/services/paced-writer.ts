import type { Writable } from 'node:stream';

/** On its way on one stream: enough for the network, and little for so many streams that nobody reads. */
const mostUnreadBytes = 128 * 1024;

/** Writes at the pace of the one who reads. */
export class PacedWriter<Message> {
  readonly #stream: Pick<Writable, 'write'>;
  readonly #sizeOf: (message: Message) => number;
  readonly #over: Promise<never>;
  readonly #signal: AbortSignal;
  #unread = 0;
  #taken = Promise.withResolvers<void>();

  /** `sizeOf` gives about how many bytes. `signal` must fire when the stream ends. */
  constructor(stream: Pick<Writable, 'write'>, sizeOf: (message: Message) => number, signal: AbortSignal) {
    this.#stream = stream;
    this.#sizeOf = sizeOf;
    this.#signal = signal;
    const over = Promise.withResolvers<never>();
    over.promise.catch(() => undefined);
    signal.addEventListener('abort', () => over.reject(signal.reason), { once: true });
    this.#over = over.promise;
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
      this.#taken = Promise.withResolvers();
      await Promise.race([this.#taken.promise, this.#over]);
    }
  }
}
