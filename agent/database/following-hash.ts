import { closeSync, openSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Size and SHA-256 (lower-case hex) of a file. */
export interface Digest {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** For `hash-thread.ts`. */
export interface HashOrder {
  /** A descriptor that stays open until the thread has ended. */
  readonly file: number;
  /** 1 at its first place: nobody writes any more. */
  readonly written: Int32Array;
}

/**
 * Hashes a file from its beginning while another process still writes it: when that has ended, only the last bytes
 * are left to be read. It has a descriptor of its own, so the offset that the handle shares with the writer does not
 * move, and the handle may be closed.
 */
export class FollowingHash implements AsyncDisposable {
  readonly #file: number;
  readonly #thread: Worker;
  readonly #written = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #digest: Promise<Digest>;

  constructor(handle: FileHandle) {
    this.#file = openSync(`/proc/self/fd/${handle.fd}`, 'r');
    this.#thread = new Worker(program, {
      workerData: { file: this.#file, written: this.#written } satisfies HashOrder,
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    });
    this.#digest = once(this.#thread, 'message').then(([digest]) => digest as Digest);
    this.#digest.catch(() => undefined);
  }

  /** Called when nobody writes any more; resolves at the end of the file. Throws what reading throws. */
  finish(): Promise<Digest> {
    Atomics.store(this.#written, 0, 1);
    Atomics.notify(this.#written, 0);
    return this.#digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.terminate();
    closeSync(this.#file);
  }
}

/** In a release it stands beside the program, which is one file. */
const program = new URL(
  import.meta.url.endsWith('.ts') ? './hash-thread.ts' : './hash-thread.js',
  import.meta.url,
);
