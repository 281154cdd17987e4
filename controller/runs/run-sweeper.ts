import type { Logger } from 'pino';
import { pruneOutput, type PruneDeps } from './prune-output.ts';

const periodMs = 24 * 60 * 60_000;

/** Keeps the output of runs within its bounds: looks at the start and every day, one look at a time. */
export class RunSweeper {
  readonly #deps: PruneDeps;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(deps: PruneDeps, log: Logger) {
    this.#deps = deps;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => this.#sweep(), periodMs).unref();
    this.#sweep();
  }

  /** Resolves when nothing is being removed any more. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort(new Error('the controller is stopping'));
    await this.#sweeping;
  }

  #sweep(): void {
    const { signal } = this.#stop;
    this.#sweeping = this.#sweeping
      .then(() => pruneOutput(this.#deps, signal))
      .catch((error: unknown) => {
        if (!signal.aborted) this.#log.error({ err: error }, 'old output of runs could not be removed');
      });
  }
}
