import type { Writable } from 'node:stream';

/** Writes messages to somebody who must read them all, without waiting; who lets too much lie is given up. */
export class BoundedWriter<Message> {
  readonly #stream: Pick<Writable, 'write'>;
  readonly #options: BoundedWriterOptions<Message>;
  #unread = 0;
  #isGivenUp = false;

  constructor(stream: Pick<Writable, 'write'>, options: BoundedWriterOptions<Message>) {
    this.#stream = stream;
    this.#options = options;
  }

  write(message: Message): void {
    const { sizeOf, mostBytes, giveUp } = this.#options;
    if (this.#isGivenUp) return;
    const bytes = sizeOf(message);
    this.#unread += bytes;
    this.#stream.write(message, () => void (this.#unread -= bytes));
    if (this.#unread <= mostBytes) return;
    this.#isGivenUp = true;
    giveUp();
  }
}

interface BoundedWriterOptions<Message> {
  /** In bytes. */
  readonly sizeOf: (message: Message) => number;
  /** Written and not taken by the network. */
  readonly mostBytes: number;
  /** Called once; nothing is written any more. */
  readonly giveUp: () => void;
}
