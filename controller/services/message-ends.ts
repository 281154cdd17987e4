const headBytes = 5;

/** Where gRPC's messages end in a stream of bytes: each is a byte of flags, four of length, and so many more. */
export class MessageEnds {
  readonly #head = Buffer.alloc(headBytes);
  /** Of the message that is not whole yet. */
  #read = 0;
  #size = headBytes;

  /** The sizes of the messages that `chunk` makes whole. */
  push(chunk: Uint8Array): number[] {
    const sizes: number[] = [];
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + this.#missing);
      if (this.#read < headBytes) this.#head.set(part, this.#read);
      this.#read += part.length;
      at += part.length;
      if (this.#read === headBytes) this.#size = headBytes + this.#head.readUInt32BE(1);
      if (this.#read === this.#size) {
        sizes.push(this.#size);
        this.#read = 0;
        this.#size = headBytes;
      }
    }
    return sizes;
  }

  /** Of the head first, which tells the size. */
  get #missing(): number {
    return (this.#read < headBytes ? headBytes : this.#size) - this.#read;
  }
}
