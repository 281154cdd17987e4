import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import { LongBytesWriter } from './long-bytes-writer.ts';
import { ShortWriter } from './short-writer.ts';

/*
 * Of the calls on which a task's output travels, and its stdin, with as few copies of them as gRPC allows: what ts-proto
 * generates for them copies each message six times. Likewise of the links of agents, on which messages are short and many.
 */

/** What ts-proto makes of a message. */
interface Codec<Message> {
  encode(message: Message, writer?: BinaryWriter): BinaryWriter;
}

/** Serializes messages of long bytes, which it copies once. */
export function copyingOnce<Message>(codec: Codec<Message>): (message: Message) => Buffer {
  return (message) => asBuffer(codec.encode(message, new LongBytesWriter()).finish());
}

/** Serializes messages that are short and many. */
export function short<Message>(codec: Codec<Message>): (message: Message) => Buffer {
  return (message) => {
    const writer = new ShortWriter();
    codec.encode(message, writer);
    return writer.finishShared();
  };
}

/** The same bytes. */
export function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
