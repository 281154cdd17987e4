import { BinaryWriter } from '@bufbuild/protobuf/wire';

/**
 * A writer for messages most of which are bytes that are there already: it copies them once, when all else is known.
 * Protobuf's own makes room for them again and again as it grows, moves them behind the length of each message around
 * them, and copies all at the end. For `encode` of the generated code; `finish` ends it.
 */
export class LongBytesWriter extends BinaryWriter {
  #pieces: Uint8Array[] = [];
  /** Of the messages around this one. */
  readonly #outer: Uint8Array[][] = [];

  override bytes(value: Uint8Array): this {
    this.uint32(value.byteLength);
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
