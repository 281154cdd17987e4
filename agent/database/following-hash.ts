import { closeSync, openSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { hashState, type Digest, type HashOrder } from './hash-order.ts';

const niceness = { close: 5, idle: 19 } as const;

/**
 * Hashes a file from its beginning while another process still writes it: when that has ended, only the last bytes
 * are left to be read. It has a descriptor of its own, so the offset that the handle shares with the writer does not
 * move, and the handle may be closed.
 */
export class FollowingHash implements AsyncDisposable {
  readonly #file: number;
  readonly #thread: Worker;
  readonly #state = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #digest: Promise<Digest>;

  /** `pace`: `close` stays near the writer at a third of a share of the processor; `idle` takes what nobody else wants. */
  constructor(handle: FileHandle, pace: keyof typeof niceness) {
    this.#file = openSync(`/proc/self/fd/${handle.fd}`, 'r');
    this.#thread = new Worker(program, {
      workerData: { file: this.#file, state: this.#state, niceness: niceness[pace] } satisfies HashOrder,
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    });
    this.#digest = once(this.#thread, 'message').then(([digest]) => digest as Digest);
    this.#digest.catch(() => undefined);
  }

  /** Called when nobody writes any more, if there is time until the hash is needed: it leaves the processor to others. */
  written(): void {
    this.#become(hashState.written);
  }

  /** Called when nobody writes any more; resolves at the end of the file. Throws what reading throws. */
  finish(): Promise<Digest> {
    this.#become(hashState.awaited);
    return this.#digest;
  }

  #become(state: number): void {
    Atomics.store(this.#state, 0, state);
    Atomics.notify(this.#state, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.terminate();
    closeSync(this.#file);
  }
}

/** In a release it stands beside the program, which is one file. */
const program = new URL(
  import.meta.url.endsWith('.ts') ? './hash-thread.ts' : './hash-thread.mjs',
  import.meta.url,
);
