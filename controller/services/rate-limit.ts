import { KomposeError } from '../../common/errors.ts';

/** A bucket of `burst` tokens that fills at `perSecond`; each take costs one. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  #tokens: number;
  #filledMs: number;

  /** `now` gives monotonic milliseconds. */
  constructor(perSecond: number, burst: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = now;
    this.#tokens = burst;
    this.#filledMs = now();
  }

  /** Throws `too-many-requests` when the bucket is empty; `what` there are too many of. */
  take(what: string): void {
    this.#fill();
    if (this.#tokens < 1)
      throw new KomposeError('too-many-requests', `too many ${what} at once: try again soon`);
    this.#tokens--;
  }

  /** Takes one that may be yet to come, and gives how long to wait for it, in milliseconds. */
  reserve(): number {
    this.#fill();
    this.#tokens--;
    return Math.max(0, (-this.#tokens / this.#perSecond) * 1000);
  }

  #fill(): void {
    const nowMs = this.#now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#filledMs) / 1000) * this.#perSecond);
    this.#filledMs = nowMs;
  }
}
