import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  read,
  readSync,
  rmSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { promisify } from 'node:util';

/*
 * A file of records with growing numbers.
 *
 * INVARIANTS
 * - A record is 4 bytes of length, 6 of its number, 4 of its strand (all little endian), and its bytes.
 * - When `append` has returned, the record is with the kernel: it survives a SIGKILL of this process.
 * - A torn record at the end (the machine went down) is cut off when the file is opened; `append` takes nothing that
 *   opening would cut off.
 * - The file is open until it is closed or removed, and until then for reads that have begun.
 */

const headerBytes = 14;
const blockBytes = 256 * 1024;
const indexEveryBytes = 64 * 1024;
/** A record of at most so many bytes is copied behind its header: for so few, two pieces take longer. */
const copiedBytes = 4 * 1024;
/** What one message of the wire can hold, and some. */
export const maxRecordBytes = 16 * 1024 * 1024;
const readAsync = promisify(read);

export interface SegmentRecord {
  readonly seq: number;
  readonly strand: number;
  readonly bytes: Uint8Array;
}

/** Some records in order; `isEnd` if none follow them. */
export interface SegmentRead {
  readonly records: readonly SegmentRecord[];
  readonly isEnd: boolean;
}

interface Header {
  readonly offset: number;
  readonly length: number;
  readonly seq: number;
  readonly strand: number;
}

export class LogSegment {
  readonly #path: string;
  readonly #fd: number;
  #size = 0;
  #firstSeq: number | undefined;
  #lastSeq = 0;
  readonly #index: { readonly seq: number; readonly offset: number }[] = [];
  #reads = 0;
  #isOver = false;
  #isClosed = false;

  private constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'a+', 0o600);
  }

  /** Opens or makes the file (0600); `onRecord` hears of each record that is there. Throws Node's system errors. */
  static open(
    path: string,
    onRecord: (header: Omit<Header, 'offset'>) => void = () => undefined,
  ): LogSegment {
    const segment = new LogSegment(path);
    const fileSize = fstatSync(segment.#fd).size;
    for (const header of headers(segment.#fd, fileSize)) {
      segment.#note(header);
      onRecord(header);
    }
    if (segment.#size < fileSize) ftruncateSync(segment.#fd, segment.#size);
    return segment;
  }

  /** Bytes of the file. */
  get size(): number {
    return this.#size;
  }

  get firstSeq(): number | undefined {
    return this.#firstSeq;
  }

  /** The newest record's number; 0 if there is none. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Throws Node's system errors (ENOSPC), having written nothing. */
  append({ seq, strand, bytes }: SegmentRecord): void {
    if (bytes.length > maxRecordBytes)
      throw new Error(`a record of ${bytes.length} bytes is too long to be kept`);
    const header = Buffer.allocUnsafe(headerBytes);
    header.writeUInt32LE(bytes.length);
    header.writeUIntLE(seq, 4, 6);
    header.writeUInt32LE(strand, 10);
    this.#write(header, bytes);
    this.#note({ offset: this.#size, length: bytes.length, seq, strand });
  }

  /** Some records from number `from` on: at least one, if there is one. */
  async read(from: number): Promise<SegmentRead> {
    this.#reads++;
    try {
      const offset = this.#locate(from);
      for (let size = blockBytes; ; size *= 4) {
        const end = Math.min(offset + size, this.#size);
        const block = await this.#readAt(offset, end - offset);
        const records = [...split(block)].filter(({ seq }) => seq >= from);
        if (records.length > 0 || end === this.#size)
          return { records, isEnd: (records.at(-1)?.seq ?? this.#lastSeq) >= this.#lastSeq };
      }
    } finally {
      this.#reads--;
      this.#closeFileIfUnused();
    }
  }

  close(): void {
    this.#isOver = true;
    this.#closeFileIfUnused();
  }

  /** Closes and deletes the file. */
  remove(): void {
    rmSync(this.#path, { force: true });
    this.close();
  }

  #closeFileIfUnused(): void {
    if (!this.#isOver || this.#isClosed || this.#reads > 0) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }

  #note({ offset, length, seq }: Header): void {
    const indexed = this.#index.at(-1);
    if (indexed === undefined || offset - indexed.offset >= indexEveryBytes)
      this.#index.push({ seq, offset });
    this.#firstSeq ??= seq;
    this.#lastSeq = seq;
    this.#size = offset + headerBytes + length;
  }

  #write(header: Buffer, bytes: Uint8Array): void {
    const total = headerBytes + bytes.length;
    try {
      let written =
        total <= copiedBytes
          ? writeSync(this.#fd, Buffer.concat([header, bytes], total))
          : writevSync(this.#fd, [header, bytes]);
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

  /** Where a record begins that is not behind the first with a number of `from` or more, nor far before it. */
  #locate(from: number): number {
    let low = 0;
    let high = this.#index.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#index[middle]?.seq ?? 0) <= from) low = middle + 1;
      else high = middle;
    }
    return this.#index[low - 1]?.offset ?? 0;
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
}

/** The headers of the whole records of a file. */
function* headers(fd: number, fileSize: number): Generator<Header> {
  let block = Buffer.alloc(0);
  let blockAt = 0;
  for (let offset = 0; offset + headerBytes <= fileSize;) {
    if (offset + headerBytes > blockAt + block.length) {
      block = Buffer.alloc(Math.min(blockBytes, fileSize - offset));
      readSync(fd, block, 0, block.length, offset);
      blockAt = offset;
    }
    const header = headerAt(block, offset - blockAt);
    const end = offset + headerBytes + header.length;
    if (header.length > maxRecordBytes || end > fileSize) return;
    yield { ...header, offset };
    offset = end;
  }
}

/** The whole records at the beginning of a block. */
function* split(block: Buffer): Generator<SegmentRecord> {
  for (let at = 0; at + headerBytes <= block.length;) {
    const { length, seq, strand } = headerAt(block, at);
    const end = at + headerBytes + length;
    if (end > block.length) return;
    yield { seq, strand, bytes: block.subarray(at + headerBytes, end) };
    at = end;
  }
}

function headerAt(block: Buffer, at: number): Omit<Header, 'offset'> {
  return {
    length: block.readUInt32LE(at),
    seq: block.readUIntLE(at + 4, 6),
    strand: block.readUInt32LE(at + 10),
  };
}
