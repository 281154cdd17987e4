import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const pieceBytes = 1024 * 1024;
const idleMs = 20;

/** Size and SHA-256 (lower-case hex) of a file. */
export interface Digest {
  readonly sizeBytes: number;
  readonly sha256: string;
}

/**
 * Hashes a file from its beginning while another process still writes it: when that has ended, only the last bytes
 * are left to be read. It reads by position, so the offset that the handle shares with the writer does not move.
 */
export class FollowingHash {
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  readonly #piece = Buffer.allocUnsafe(pieceBytes);
  readonly #following: Promise<void>;
  #sizeBytes = 0;
  #isWritten = false;

  constructor(handle: FileHandle) {
    this.#handle = handle;
    this.#following = this.#follow();
    this.#following.catch(() => undefined);
  }

  /** Called when nobody writes any more; resolves at the end of the file. Throws what reading throws. */
  async finish(): Promise<Digest> {
    this.#isWritten = true;
    await this.#following;
    return { sizeBytes: this.#sizeBytes, sha256: this.#hash.digest('hex') };
  }

  async #follow(): Promise<void> {
    for (;;) {
      const isWritten = this.#isWritten;
      const { bytesRead } = await this.#handle.read(this.#piece, 0, pieceBytes, this.#sizeBytes);
      this.#hash.update(this.#piece.subarray(0, bytesRead));
      this.#sizeBytes += bytesRead;
      if (bytesRead > 0) continue;
      if (isWritten) return;
      await delay(idleMs);
    }
  }
}
