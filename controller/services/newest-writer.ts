import type { Writable } from 'node:stream';

/**
 * Writes messages each of which says all that those before it said: while one is on its way, only the newest of those
 * after it is kept.
 */
export class NewestWriter<Message> {
  readonly #stream: Pick<Writable, 'write' | 'writable'>;
  #isWriting = false;
  #next: Message | undefined;

  constructor(stream: Pick<Writable, 'write' | 'writable'>) {
    this.#stream = stream;
  }

  write(message: Message): void {
    if (this.#isWriting) {
      this.#next = message;
      return;
    }
    if (!this.#stream.writable) return;
    this.#isWriting = true;
    this.#stream.write(message, () => {
      const next = this.#next;
      this.#next = undefined;
      this.#isWriting = false;
      if (next !== undefined) this.write(next);
    });
  }
}
