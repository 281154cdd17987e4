import type { TaskState } from '../../common/task-event.ts';

/** Why a task is ended before its time. */
export interface StopCause {
  readonly state: Extract<TaskState, 'cancelled' | 'timed-out'>;
  readonly reason: string;
}

/** The one cancel of a task: the first cause wins. */
export class StopSignal {
  readonly #controller = new AbortController();
  #cause: StopCause | undefined;

  get cause(): StopCause | undefined {
    return this.#cause;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(cause: StopCause): void {
    this.#cause ??= cause;
    this.#controller.abort();
  }

  /** Calls `act` when the task is stopped, at once if it is; the result unsubscribes. */
  onStop(act: (cause: StopCause) => void): () => void {
    const hear = (): void => {
      if (this.#cause !== undefined) act(this.#cause);
    };
    if (this.#cause !== undefined) hear();
    else this.signal.addEventListener('abort', hear, { once: true });
    return () => this.signal.removeEventListener('abort', hear);
  }
}
