/*
 * As much of the tar format (POSIX ustar) as a backup needs: plain files, so that any tar can look into one.
 */

const blockBytes = 512;
const empty = Buffer.alloc(0);

export interface TarEntry {
  /** A plain name, ASCII, at most 100 characters. */
  readonly name: string;
  readonly size: number;
  /** Exactly `size` bytes. */
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** The bytes of an archive of these files, mode 0600. */
export async function* writeTar(entries: Iterable<TarEntry>, timeMs: number): AsyncGenerator<Uint8Array> {
  for (const { name, size, content } of entries) {
    yield header(name, size, timeMs);
    let written = 0;
    for await (const chunk of content) {
      written += chunk.length;
      yield chunk;
    }
    if (written !== size) throw new Error(`${name} has ${written} bytes instead of ${size}`);
    yield Buffer.alloc(padding(size));
  }
  yield Buffer.alloc(2 * blockBytes);
}

function header(name: string, size: number, timeMs: number): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, 100, 'ascii');
  block.write('0000600\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  writeSize(block, size);
  block.write(`${octal(Math.floor(timeMs / 1000), 11)}\0`, 136);
  block.write('0', 156);
  block.write('ustar\u000000', 257, 'latin1');
  block.write(`${octal(checksum(block), 6)}\0 `, 148);
  return block;
}

/** Eleven octal digits, or, from 8 GiB on, a binary number behind a set high bit. */
function writeSize(block: Buffer, size: number): void {
  if (size < 8 ** 11) {
    block.write(`${octal(size, 11)}\0`, 124);
    return;
  }
  block.writeUInt8(0x80, 124);
  block.writeBigUInt64BE(BigInt(size), 128);
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

/** Of a header, its own field counted as spaces. */
function checksum(block: Buffer): number {
  let sum = 0;
  for (const [at, byte] of block.entries()) sum += at >= 148 && at < 156 ? 32 : byte;
  return sum;
}

function padding(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

/** Reads an archive that writeTar wrote, file by file; each one's content is read before the next. Throws Error. */
export async function* readTar(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const bytes = new ByteReader(chunks);
  for (;;) {
    const block = await bytes.exactly(blockBytes);
    if (block.every((byte) => byte === 0)) return;
    const entry = parseHeader(block);
    const content = bytes.take(entry.size);
    yield { ...entry, content };
    // Whoever did not read all of it leaves the rest to us.
    for await (const _ of content);
    await bytes.exactly(padding(entry.size));
  }
}

function parseHeader(block: Buffer): Pick<TarEntry, 'name' | 'size'> {
  const text = (at: number, length: number): string =>
    block.toString('latin1', at, at + length).replace(/\0.*$/s, '');
  const isPlain = text(257, 5) === 'ustar' && ['0', ''].includes(text(156, 1));
  if (!isPlain || Number.parseInt(text(148, 8), 8) !== checksum(block)) throw new Error('not a backup');
  const isBinary = ((block[124] ?? 0) & 0x80) !== 0;
  const size = isBinary ? Number(block.readBigUInt64BE(128)) : Number.parseInt(text(124, 12), 8);
  return { name: text(0, 100), size };
}

/** Pieces of wished lengths from chunks of any. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Buffer = empty;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  async exactly(length: number): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.take(length)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async *take(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0;) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #next(): Promise<Buffer> {
    const { done, value } = await this.#chunks.next();
    if (done === true) throw new Error('the backup is cut off');
    return Buffer.from(value.buffer, value.byteOffset, value.length);
  }
}
