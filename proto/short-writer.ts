import { BinaryWriter } from '@bufbuild/protobuf/wire';

const scratchBytes = 4 * 1024;
/** More are in use at once only where one message is encoded in the middle of another. */
const mostSpare = 4;
const spare: Uint8Array[] = [];
const none = new Uint8Array();

/** What BinaryWriter writes into, and how far it is: its own business. */
interface Hidden {
  buffer: Uint8Array;
  pos: number;
}

/**
 * A writer for short messages, of which many are written: it begins with memory that was written into before. Protobuf's
 * own makes room of 128 bytes for each, then of 256, and so on, all of it outside of V8's heap, which is then searched for
 * it. For `encode` of the generated code; `finish` or `finishShared` ends it, and it is not to be used again.
 */
export class ShortWriter extends BinaryWriter {
  constructor() {
    super();
    hidden(this).buffer = spare.pop() ?? new Uint8Array(scratchBytes);
  }

  override finish(): Uint8Array<ArrayBuffer> {
    const { pos } = hidden(this);
    const bytes = super.finish();
    this.#giveBack(pos);
    return bytes;
  }

  /** As a part of what Node's buffers share, for who copies it soon: it keeps more in memory than itself. */
  finishShared(): Buffer {
    const { buffer, pos } = hidden(this);
    const bytes = Buffer.allocUnsafe(pos);
    bytes.set(buffer.subarray(0, pos));
    this.#giveBack(pos);
    return bytes;
  }

  #giveBack(pos: number): void {
    const { buffer } = hidden(this);
    hidden(this).buffer = none;
    // It may have been a secret.
    buffer.fill(0, 0, pos);
    if (buffer.length === scratchBytes && spare.length < mostSpare) spare.push(buffer);
  }
}

function hidden(writer: BinaryWriter): Hidden {
  return writer as unknown as Hidden;
}
