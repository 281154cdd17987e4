/** What an event costs besides its bytes, so that many small ones are bounded too. */
const eventBytes = 256;

/*
 * How much of a task's output the controller has not acknowledged.
 *
 * INVARIANT: bounded where somebody waits for room; otherwise it remembers so many of the newest events and takes the
 * rest for acknowledged.
 */
const rememberedEvents = 32 * 1024;

export class UnacknowledgedBytes {
  #acknowledged = 0;
  #events: { readonly seq: number; readonly bytes: number }[] = [];
  /** Those before this place are acknowledged. */
  #first = 0;
  #bytes = 0;
  #moved = Promise.withResolvers<void>();

  /** The newest number that is. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  add(seq: number, length: number): void {
    const bytes = length + eventBytes;
    this.#events.push({ seq, bytes });
    this.#bytes += bytes;
    if (this.#events.length - this.#first > rememberedEvents) this.#drop(this.#events[this.#first]?.seq ?? 0);
  }

  acknowledge(seq: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, seq);
    this.#drop(this.#acknowledged);
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }

  /** Resolves with the next acknowledgement; rejects with the signal's reason. */
  next(signal: AbortSignal): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    return Promise.race([this.#moved.promise, promise]).finally(() =>
      signal.removeEventListener('abort', onAbort),
    );
  }

  /** Undefined if at most so many bytes are there; else resolves when that is so, or the signal fires. */
  waitForRoom(bytes: number, signal: AbortSignal): undefined | Promise<void> {
    return this.#bytes <= bytes || signal.aborted ? undefined : this.#untilRoom(bytes, signal);
  }

  async #untilRoom(bytes: number, signal: AbortSignal): Promise<void> {
    while (this.#bytes > bytes && !signal.aborted) await this.next(signal).catch(() => undefined);
  }

  #drop(seq: number): void {
    for (let event = this.#events[this.#first]; event !== undefined && event.seq <= seq;) {
      this.#bytes -= event.bytes;
      event = this.#events[++this.#first];
    }
    if (this.#first < 1024 || this.#first < this.#events.length / 2) return;
    this.#events = this.#events.slice(this.#first);
    this.#first = 0;
  }
}
