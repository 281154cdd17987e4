/** What an event costs besides its bytes, so that many small ones are bounded too. */
const eventBytes = 256;

/*
 * How much of a task's output the controller has not acknowledged.
 *
 * INVARIANT: bounded where somebody waits for room; otherwise it remembers so many of the newest events and takes the
 * rest for acknowledged.
 */
const rememberedEvents = 32 * 1024;
/** More under way to a controller that is near would only wait there, and grow old in the heaps of both. */
const nearBytes = 768 * 1024;
/** To one that is far, what a fast link takes within the shortest round trip so far. */
const bytesAMs = 80 * 1024;

interface Event {
  readonly seq: number;
  readonly bytes: number;
  readonly addedMs: number;
}

export class UnacknowledgedBytes {
  readonly #now: () => number;
  #acknowledged = 0;
  #events: Event[] = [];
  /** Those before this place are acknowledged. */
  #first = 0;
  #bytes = 0;
  /** The shortest so far; undefined before the first. */
  #roundTripMs: number | undefined;
  #moved = Promise.withResolvers<void>();

  /** `now` gives monotonic milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The newest number that is. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  add(seq: number, length: number): void {
    const bytes = length + eventBytes;
    this.#events.push({ seq, bytes, addedMs: this.#now() });
    this.#bytes += bytes;
    if (this.#events.length - this.#first > rememberedEvents) this.#drop(this.#events[this.#first]?.seq ?? 0);
  }

  acknowledge(seq: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, seq);
    const newest = this.#drop(this.#acknowledged);
    if (newest !== undefined) this.#noteRoundTrip(this.#now() - newest.addedMs);
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

  /**
   * Undefined if at most so many bytes are there, or fewer where the controller is near; else resolves when that is so, or
   * the signal fires.
   */
  waitForRoom(bytes: number, signal: AbortSignal): undefined | Promise<void> {
    return this.#hasRoom(bytes) || signal.aborted ? undefined : this.#untilRoom(bytes, signal);
  }

  async #untilRoom(bytes: number, signal: AbortSignal): Promise<void> {
    while (!this.#hasRoom(bytes) && !signal.aborted) await this.next(signal).catch(() => undefined);
  }

  #hasRoom(bytes: number): boolean {
    return this.#bytes <= Math.min(bytes, Math.max(nearBytes, (this.#roundTripMs ?? 0) * bytesAMs));
  }

  #noteRoundTrip(ms: number): void {
    this.#roundTripMs = Math.min(this.#roundTripMs ?? ms, ms);
  }

  /** Gives the newest of those that are dropped. */
  #drop(seq: number): Event | undefined {
    let newest: Event | undefined;
    for (let event = this.#events[this.#first]; event !== undefined && event.seq <= seq;) {
      this.#bytes -= event.bytes;
      newest = event;
      event = this.#events[++this.#first];
    }
    if (this.#first < 1024 || this.#first < this.#events.length / 2) return newest;
    this.#events = this.#events.slice(this.#first);
    this.#first = 0;
    return newest;
  }
}
