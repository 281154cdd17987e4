import type { Logger } from 'pino';
import { pruneOutput, type PruneDeps } from './prune-output.ts';

const periodMs = 24 * 60 * 60_000;
/** Between looks because of runs that ended. */
const shortestPauseMs = 60_000;

/**
 * Keeps the output of runs within its bounds: looks at the start and every day, and where there is too much when a run ends,
 * then at most once a minute; one look at a time.
 */
export class RunSweeper {
  readonly #deps: PruneDeps;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();
  /** Of all that was there at the last look, and of the runs that have ended since. */
  #bytes = 0;
  #soon: NodeJS.Timeout | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(deps: PruneDeps, log: Logger) {
    this.#deps = deps;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => this.#sweep(), periodMs).unref();
    this.#sweep();
  }

  /** A run has ended that has left so many bytes. */
  runEnded(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.#deps.kept.bytes || this.#soon !== undefined) return;
    const pauseMs = Math.max(0, this.#lookedMs + shortestPauseMs - performance.now());
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      this.#lookedMs = performance.now();
      this.#sweep();
    }, pauseMs).unref();
  }

  /** Resolves when nothing is being removed any more. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#stop.abort(new Error('the controller is stopping'));
    await this.#sweeping;
  }

  #sweep(): void {
    const { signal } = this.#stop;
    this.#sweeping = this.#sweeping
      .then(async () => {
        // Whatever ends meanwhile may count twice, and never not at all.
        const before = this.#bytes;
        this.#bytes = 0;
        try {
          const left = await pruneOutput(this.#deps, signal);
          this.#bytes += left;
        } catch (error) {
          this.#bytes += before;
          throw error;
        }
      })
      .catch((error: unknown) => {
        if (!signal.aborted) this.#log.error({ err: error }, 'old output of runs could not be removed');
      });
  }
}
