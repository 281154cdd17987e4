import { existsSync, rmSync, statSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { isScarcity, isSystemError } from '../../common/errors.ts';
import type { OutputStream } from '../../common/task-event.ts';
import { hasInHand } from './piece-writers.ts';

const readBytes = 64 * 1024;

/** A place in a stream that stands in numbered pieces; all counted from the stream's start. */
export interface StreamPlace {
  /** The oldest piece that is there, and where in the stream it begins. */
  readonly piece: number;
  readonly pieceStart: number;
  /** The next byte to be read. */
  readonly next: number;
}

export const streamStart: StreamPlace = { piece: 0, pieceStart: 0, next: 0 };

/*
 * Follows one stream of a kept step through its pieces (`keeper.ts`) as they grow.
 *
 * INVARIANTS
 * - A piece is complete when the next one, or the stream's end, is there.
 * - Nothing is removed before `release` says that nobody will want to read it again.
 */
export class KeptOutput {
  readonly #folder: string;
  readonly #stream: OutputStream;
  readonly #onOutput: (chunk: Uint8Array) => void | Promise<void>;
  /** Where the pieces begin that are still there, from the one of number `#first` on. */
  readonly #starts: number[];
  #first: number;
  #next: number;
  #handle: FileHandle | undefined;
  #wake = Promise.withResolvers<void>();
  #isStopped = false;
  #isTaking = false;
  #lastMs = performance.now();
  /** Resolves at the stream's end, or when it is stopped. Never rejects. */
  readonly finished: Promise<void>;

  constructor(
    folder: string,
    stream: OutputStream,
    from: StreamPlace,
    onOutput: (chunk: Uint8Array) => void | Promise<void>,
  ) {
    this.#folder = folder;
    this.#stream = stream;
    this.#onOutput = onOutput;
    this.#first = from.piece;
    this.#starts = [from.pieceStart];
    this.#next = from.next;
    this.finished = this.#follow().catch(() => undefined);
  }

  /** Something may have been written. */
  look(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** For how long nothing has come; 0 while what came waits for its taker. */
  idleMs(): number {
    return this.#isTaking ? 0 : performance.now() - this.#lastMs;
  }

  /** Bytes taken so far. */
  taken(): number {
    return this.#next;
  }

  /** Where what is there ends. */
  end(): number {
    let end = this.#starts.at(-1) ?? 0;
    for (let piece = this.#last; ; piece++) {
      const stats = statSync(this.#path(piece), { throwIfNoEntry: false });
      if (stats === undefined) return end;
      end += stats.size;
    }
  }

  /** Whether something that was written is not in its piece yet. */
  isInHand(): boolean {
    return hasInHand(this.#folder, this.#stream);
  }

  /** Takes no more. */
  stop(): void {
    this.#isStopped = true;
    this.look();
  }

  /** The piece that holds a byte. */
  locate(byte: number): Omit<StreamPlace, 'next'> {
    const at = Math.max(
      0,
      this.#starts.findLastIndex((start) => start <= byte),
    );
    return { piece: this.#first + at, pieceStart: this.#starts[at] ?? 0 };
  }

  /** Nothing before this piece, which is one that was located, will be read again. */
  release(before: number): void {
    while (this.#first < before) {
      rmSync(this.#path(this.#first), { force: true });
      this.#starts.shift();
      this.#first++;
    }
  }

  async #follow(): Promise<void> {
    const buffer = Buffer.allocUnsafeSlow(readBytes);
    try {
      while (!this.#isStopped) {
        const woken = this.#wake.promise;
        const isComplete = this.#isComplete();
        const chunk = await this.#read(buffer);
        if (chunk !== undefined && chunk.length > 0) await this.#take(chunk);
        else if (chunk === undefined || !isComplete) await woken;
        else if (!(await this.#turn())) return;
      }
    } finally {
      await this.#handle?.close();
    }
  }

  /** The piece that is read now is. */
  #isComplete(): boolean {
    return existsSync(this.#path(this.#last + 1)) || this.#hasEnded();
  }

  #hasEnded(): boolean {
    return existsSync(join(this.#folder, `${this.#stream}.end`));
  }

  get #last(): number {
    return this.#first + this.#starts.length - 1;
  }

  /** Undefined while there is no descriptor for it. */
  async #read(buffer: Buffer): Promise<Uint8Array | undefined> {
    try {
      this.#handle ??= await openIfThere(this.#path(this.#last));
    } catch (error) {
      if (isScarcity(error)) return undefined;
      throw error;
    }
    const position = this.#next - (this.#starts.at(-1) ?? 0);
    const read = await this.#handle?.read(buffer, 0, readBytes, position);
    return Buffer.from(buffer.subarray(0, read?.bytesRead ?? 0));
  }

  async #take(chunk: Uint8Array): Promise<void> {
    if (this.#isStopped) return;
    this.#isTaking = true;
    this.#next += chunk.length;
    await this.#onOutput(chunk);
    this.#isTaking = false;
    this.#lastMs = performance.now();
  }

  /** To the next piece; false if there is none. */
  async #turn(): Promise<boolean> {
    if (!existsSync(this.#path(this.#last + 1))) return false;
    const size = (await this.#handle?.stat())?.size ?? 0;
    await this.#handle?.close();
    this.#handle = undefined;
    const start = (this.#starts.at(-1) ?? 0) + size;
    this.#starts.push(start);
    this.#next = Math.max(this.#next, start);
    return true;
  }

  #path(piece: number): string {
    return join(this.#folder, `${this.#stream}.${piece}`);
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
