/** The bytes from `start` up to `end`, counted from the stream's start. */
export interface Run {
  readonly start: number;
  readonly end: number;
}

/** The bytes to hide: runs in order, of which no two overlap or touch. */
export class HiddenRuns {
  #runs: Run[] = [];

  /** Adds bytes that end at or behind the start of the last run. */
  add(start: number, end: number): void {
    let run: Run = { start, end };
    for (
      let last = this.#runs.at(-1);
      last !== undefined && last.end >= run.start;
      last = this.#runs.at(-1)
    ) {
      run = { start: Math.min(last.start, run.start), end: Math.max(last.end, run.end) };
      this.#runs.pop();
    }
    this.#runs.push(run);
  }

  /** Takes out the runs that start at or before `limit`. */
  take(limit: number): Run[] {
    const later = this.#runs.findIndex((run) => run.start > limit);
    return this.#runs.splice(0, later === -1 ? this.#runs.length : later);
  }
}
