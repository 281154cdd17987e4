const empty = new Uint8Array();

/**
 * The bytes at the end of a stream that are still needed. What it gives out stays valid: a buffer is only
 * written behind what it holds, and left when it is full. Twice the room that is needed makes the copying
 * linear in the input, however small the chunks.
 */
export class Backlog {
  #buffer: Uint8Array = empty;
  #start = 0;
  #end = 0;

  /** The kept bytes and the chunk; the chunk itself if none are kept. */
  append(chunk: Uint8Array): Uint8Array {
    const kept = this.#buffer.subarray(this.#start, this.#end);
    if (kept.length === 0) return chunk;
    if (this.#buffer.length - this.#end < chunk.length) this.#copy(kept, kept.length + chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Keeps these bytes, the end of what `append` gave, and no others. Never the caller's memory. */
  keep(bytes: Uint8Array): void {
    const isOwn = bytes.buffer === this.#buffer.buffer;
    if (isOwn && this.#buffer.length <= 4 * bytes.length) this.#start = this.#end - bytes.length;
    else this.#copy(bytes, 0);
  }

  #copy(bytes: Uint8Array, room: number): void {
    this.#buffer = bytes.length + room === 0 ? empty : Buffer.allocUnsafeSlow(2 * bytes.length + room);
    this.#buffer.set(bytes);
    this.#start = 0;
    this.#end = bytes.length;
  }
}
