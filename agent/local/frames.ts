/*
 * What the agent answers on its local socket: frames of one byte that says what it is, four bytes of length (big
 * endian), and the payload.
 */
export type Frame =
  | { readonly kind: 'stdout' | 'stderr'; readonly data: Uint8Array }
  | { readonly kind: 'exit'; readonly exitCode: number };

const kinds = { stdout: 1, stderr: 2, exit: 3 } as const;
const headerBytes = 5;

export function encodeFrame(frame: Frame): Uint8Array {
  const data = frame.kind === 'exit' ? Uint8Array.of(frame.exitCode) : frame.data;
  const bytes = Buffer.alloc(headerBytes + data.length);
  bytes.writeUInt8(kinds[frame.kind]);
  bytes.writeUInt32BE(data.length, 1);
  bytes.set(data, headerBytes);
  return bytes;
}

/** The frames of a stream of bytes, however it is cut. */
export async function* decodeFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= headerBytes && rest.length >= headerBytes + rest.readUInt32BE(1)) {
      const end = headerBytes + rest.readUInt32BE(1);
      yield toFrame(rest.readUInt8(), rest.subarray(headerBytes, end));
      rest = rest.subarray(end);
    }
  }
}

function toFrame(kind: number, data: Uint8Array): Frame {
  if (kind === kinds.exit) return { kind: 'exit', exitCode: data[0] ?? 1 };
  return { kind: kind === kinds.stdout ? 'stdout' : 'stderr', data };
}
