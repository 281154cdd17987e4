/** Pauses between tries: each at most double the last, never above `maxMs`, spread so that peers do not meet. */
export interface Backoff {
  /** The next pause in ms. */
  next(): number;
  /** Start small again, after a success that lasted. */
  reset(): void;
}

/** `random` gives numbers in [0, 1). The n-th pause lies between half and all of min(firstMs * 2^n, maxMs). */
export function createBackoff(firstMs: number, maxMs: number, random: () => number = Math.random): Backoff {
  let tries = 0;
  return {
    next() {
      const ceiling = Math.min(firstMs * 2 ** tries, maxMs);
      tries = Math.min(tries + 1, 30);
      return ceiling / 2 + (random() * ceiling) / 2;
    },
    reset() {
      tries = 0;
    },
  };
}
