/** One command of the demo, and what must come of it. */
export interface Act {
  /** What it is about, for somebody who sees kompose for the first time; lines of up to 96 characters. */
  readonly about: readonly string[];
  /** What is typed, in bash. */
  readonly line: string;
  /** 0 unless told. */
  readonly exitCode?: number;
  /**
   * Looks at what it has done and tells what it found: a line each, and lines that begin with a blank belong to the
   * one above. Throws a Surprise. `since`: when the command began.
   */
  readonly check?: (since: Date) => Promise<string>;
}
