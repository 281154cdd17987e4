/** How long a run waits for a watcher: time for a client to come back after a lost link. */
const graceMs = 3_000;

/** Somebody who reads a run's events. */
export interface Watcher {
  /** They have been given everything up to this event. */
  at(seq: number): void;
  /** They watch no more; a second time does nothing. */
  close(): void;
}

interface WatchersOptions {
  /** The run goes at the pace of whoever watches. */
  readonly setPace: boolean;
  /** Nobody has watched for a while. */
  readonly onUnwatched: () => void;
}

/*
 * Those who watch a run, and how far they are.
 *
 * INVARIANTS
 * - One of them sets the pace: whoever started the run (also over a later link), else who came first. Nobody waits for
 *   the others.
 * - Where nobody has watched for the grace, or the run has ended, nobody is waited for.
 */
export class Watchers {
  readonly #options: WatchersOptions;
  #watchers: { seq: number }[] = [];
  /** By their numbers, which only grow. */
  readonly #waiting: { readonly seq: number; readonly resolve: () => void }[] = [];
  #grace: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: WatchersOptions) {
    this.#options = options;
  }

  /** From now on somebody is expected to come. */
  expect(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#grace);
    this.#grace = setTimeout(() => {
      this.#grace = undefined;
      this.#options.onUnwatched();
      this.#release();
    }, graceMs);
  }

  /** `isOwner`: it is who started the run, whose pace counts before others'. */
  open(isOwner: boolean, afterSeq: number): Watcher {
    clearTimeout(this.#grace);
    this.#grace = undefined;
    const watcher = { seq: afterSeq };
    this.#watchers = isOwner ? [watcher, ...this.#watchers] : [...this.#watchers, watcher];
    const at = (seq: number): void => {
      watcher.seq = seq;
      this.#release();
    };
    return { at, close: () => this.#leave(watcher) };
  }

  /** Resolves when whoever sets the pace has been given everything up to this event; at once if nobody does. */
  async reached(seq: number): Promise<void> {
    if (this.#isReached(seq)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ seq, resolve });
    await promise;
  }

  /** The run has ended, or the controller ends. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#grace);
    this.#release();
  }

  #leave(watcher: { seq: number }): void {
    if (!this.#watchers.includes(watcher)) return;
    this.#watchers = this.#watchers.filter((other) => other !== watcher);
    if (this.#watchers.length === 0) this.expect();
    this.#release();
  }

  #isReached(seq: number): boolean {
    if (this.#isClosed || !this.#options.setPace) return true;
    const [first] = this.#watchers;
    return first === undefined ? this.#grace === undefined : first.seq >= seq;
  }

  #release(): void {
    const first = this.#waiting.findIndex(({ seq }) => !this.#isReached(seq));
    const ready = this.#waiting.splice(0, first < 0 ? this.#waiting.length : first);
    for (const { resolve } of ready) resolve();
  }
}
