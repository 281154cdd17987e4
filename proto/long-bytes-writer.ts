import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** To copy so few at once costs less than to remember them. */
const shortBytes = 1024;

/**
 * A writer for messages most of which are bytes that are there already: it copies them once, when all else is known.
 * Protobuf's own makes room for them again and again as it grows, moves them behind the length of each message around
 * them, and copies all at the end. For `encode` of the generated code; `finish` ends it.
 */
export class LongBytesWriter extends BinaryWriter {
  #pieces: Uint8Array[] = [];
  /** Of the messages around this one. */
  readonly #outer: Uint8Array[][] = [];

  /** Also for `bytes`, behind their length. */
  override raw(value: Uint8Array): this {
    if (value.byteLength < shortBytes) return super.raw(value);
    this.#cut();
    this.#pieces.push(value);
    return this;
  }

  override fork(): this {
    this.#cut();
    this.#outer.push(this.#pieces);
    this.#pieces = [];
    return this;
  }

  override join(): this {
    this.#cut();
    const inner = this.#pieces;
    this.#pieces = this.#outer.pop() ?? [];
    this.uint32(inner.reduce((sum, { length }) => sum + length, 0));
    this.#cut();
    this.#pieces.push(...inner);
    return this;
  }

  override finish(): Uint8Array<ArrayBuffer> {
    this.#cut();
    const { buffer, byteOffset, byteLength } = Buffer.concat(this.#pieces);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  /** What was written since the last cut is a piece. */
  #cut(): void {
    const piece = super.finish();
    if (piece.length > 0) this.#pieces.push(piece);
  }
}
