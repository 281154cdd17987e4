import { closeSync, fstatSync, ftruncateSync, openSync, read, readSync, writevSync } from 'node:fs';
import { promisify } from 'node:util';

/*
 * An append-only file of numbered records, with readers that follow it at their own pace.
 *
 * INVARIANTS
 * - Record n (from 1) is the n-th in the file; a record is 4 bytes of length (little endian) and its bytes.
 * - When `append` has returned, the record is with the kernel: it survives a SIGKILL of this process.
 * - A torn record at the end (the machine went down) is cut off when the file is opened.
 * - Memory is bounded: the tail holds at most `tailBytes` of the newest records; a reader that fell behind
 *   reads the file in blocks; nothing a reader does delays the writer.
 * One writer per file. Everything but `readBlock` is synchronous, so records and indexes never disagree.
 */

const headerBytes = 4;
const tailBytes = 1024 * 1024;
const blockBytes = 256 * 1024;
const indexEvery = 128;
const maxRecordBytes = 16 * 1024 * 1024;
const readAsync = promisify(read);

export interface LogRecord {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** Where a reader stands. */
interface Cursor {
  /** The record that it reads next. */
  next: number;
  /** Where that one begins in the file; not known to a reader that never needed the file. */
  offset: number | undefined;
}

export class EventLog {
  readonly #fd: number;
  #size = 0;
  #count = 0;
  /** Offsets of records 1, 1 + indexEvery, … */
  readonly #index: number[] = [];
  #tail: LogRecord[] = [];
  #tailSize = 0;
  #ended = false;
  #isClosing = false;
  #isClosed = false;
  #readers = 0;
  #wake = Promise.withResolvers<void>();

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens or makes the file (0600) and finds its records. Throws Node's system errors. */
  static open(path: string): EventLog {
    const log = new EventLog(openSync(path, 'a+', 0o600));
    log.#scan();
    return log;
  }

  /** How many records there are: the newest one's number. */
  get count(): number {
    return this.#count;
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** Bytes of the file. */
  get size(): number {
    return this.#size;
  }

  /** Returns the new record's number. Throws Node's system errors (ENOSPC), having written nothing. */
  append(bytes: Uint8Array): number {
    const header = Buffer.allocUnsafe(headerBytes);
    header.writeUInt32LE(bytes.length);
    this.#write(header, bytes);
    this.#note(bytes);
    this.#wakeReaders();
    return this.#count;
  }

  /** Says that no record will follow: readers end after the last one. */
  end(): void {
    this.#ended = true;
    this.#wakeReaders();
  }

  /** Ends the log and gives its file back as soon as no reader needs it. */
  close(): void {
    this.#isClosing = true;
    this.end();
    this.#closeFileIfUnused();
  }

  /**
   * The records after `afterSeq`, then new ones as they come, until `end`; each time all that are at hand, at
   * most about 1 MiB. Rejects with the signal's reason when
   * it fires.
   */
  async *read(afterSeq: number, signal: AbortSignal): AsyncGenerator<readonly LogRecord[]> {
    this.#readers++;
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => undefined);
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const cursor: Cursor = { next: afterSeq + 1, offset: undefined };
      for (;;) {
        signal.throwIfAborted();
        if (cursor.next <= this.#count) yield await this.#take(cursor);
        else if (this.#ended) return;
        else await Promise.race([this.#wake.promise, aborted.promise]);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#readers--;
      this.#closeFileIfUnused();
    }
  }

  /** The records that are there now, in order. */
  async *snapshot(): AsyncGenerator<readonly LogRecord[]> {
    const last = this.#count;
    const cursor: Cursor = { next: 1, offset: 0 };
    while (cursor.next <= last) yield await this.#take(cursor);
  }

  #closeFileIfUnused(): void {
    if (!this.#isClosing || this.#isClosed || this.#readers > 0) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }

  #write(header: Buffer, bytes: Uint8Array): void {
    const total = headerBytes + bytes.length;
    try {
      let written = writevSync(this.#fd, [header, bytes]);
      while (written < total) {
        const rest =
          written < headerBytes ? [header.subarray(written), bytes] : [bytes.subarray(written - headerBytes)];
        written += writevSync(this.#fd, rest);
      }
    } catch (error) {
      ftruncateSync(this.#fd, this.#size);
      throw error;
    }
  }

  #note(bytes: Uint8Array): void {
    if (this.#count % indexEvery === 0) this.#index.push(this.#size);
    this.#count++;
    this.#size += headerBytes + bytes.length;
    this.#tail.push({ seq: this.#count, bytes });
    this.#tailSize += bytes.length + 64;
    if (this.#tailSize <= tailBytes) return;
    let dropped = 0;
    while (this.#tailSize > tailBytes / 2 && dropped < this.#tail.length) {
      this.#tailSize -= (this.#tail[dropped]?.bytes.length ?? 0) + 64;
      dropped++;
    }
    this.#tail = this.#tail.slice(dropped);
  }

  #wakeReaders(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  #inTail(seq: number): readonly LogRecord[] | undefined {
    const first = this.#tail[0];
    if (first === undefined || seq < first.seq) return undefined;
    return this.#tail.slice(seq - first.seq);
  }

  /** What is at hand from the cursor on, from memory or the file; moves the cursor behind it. */
  async #take(cursor: Cursor): Promise<readonly LogRecord[]> {
    const inTail = this.#inTail(cursor.next);
    if (inTail === undefined) cursor.offset ??= this.#locate(cursor.next);
    const records = inTail ?? (await this.#readBlock(cursor.next, cursor.offset ?? 0));
    if (records.length === 0) throw new Error(`record ${cursor.next} of an event log cannot be read`);
    cursor.next += records.length;
    if (cursor.offset !== undefined) {
      for (const { bytes } of records) cursor.offset += headerBytes + bytes.length;
    }
    return records;
  }

  /** Where a record begins in the file. */
  #locate(seq: number): number {
    const slot = Math.floor((seq - 1) / indexEvery);
    const header = Buffer.alloc(headerBytes);
    let at = this.#index[slot] ?? 0;
    for (let number = slot * indexEvery + 1; number < seq; number++) {
      readSync(this.#fd, header, 0, headerBytes, at);
      at += headerBytes + header.readUInt32LE();
    }
    return at;
  }

  /** The records that one block of the file holds from `offset` on, where record `seq` begins; at least one. */
  async #readBlock(seq: number, offset: number): Promise<LogRecord[]> {
    for (let size = blockBytes; ; size *= 4) {
      const block = await this.#readAt(offset, Math.min(size, this.#size - offset));
      const records = [...split(block)].map((bytes, at) => ({ seq: seq + at, bytes }));
      if (records.length > 0 || offset + size >= this.#size) return records;
    }
  }

  async #readAt(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length);
    let got = 0;
    while (got < length) {
      const { bytesRead } = await readAsync(this.#fd, buffer, got, length - got, position + got);
      if (bytesRead === 0) break;
      got += bytesRead;
    }
    return buffer.subarray(0, got);
  }

  #scan(): void {
    const fileSize = fstatSync(this.#fd).size;
    const header = Buffer.alloc(headerBytes);
    let at = 0;
    while (at + headerBytes <= fileSize) {
      readSync(this.#fd, header, 0, headerBytes, at);
      const length = header.readUInt32LE();
      if (length > maxRecordBytes || at + headerBytes + length > fileSize) break;
      if (this.#count % indexEvery === 0) this.#index.push(at);
      this.#count++;
      at += headerBytes + length;
    }
    this.#size = at;
    if (at < fileSize) ftruncateSync(this.#fd, at);
  }
}

/** The whole records at the beginning of a block. */
function* split(block: Buffer): Generator<Uint8Array> {
  let at = 0;
  while (at + headerBytes <= block.length) {
    const end = at + headerBytes + block.readUInt32LE(at);
    if (end > block.length) return;
    yield block.subarray(at + headerBytes, end);
    at = end;
  }
}
