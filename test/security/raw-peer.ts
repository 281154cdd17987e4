import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { TestContext } from 'node:test';
import { controllerTlsName } from '../../proto/channel-options.ts';
import type { Identity } from '../../proto/enrol.ts';
import { within } from '../integration/controller/inbox.ts';

/** Frames of HTTP/2 that a test writes by hand; see RFC 9113, section 6. */
export const frameType = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
};
export const flag = { none: 0, endStream: 1, endHeaders: 4 };

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Takes a gigabyte on each stream and on the connection before the other side has to wait for HTTP/2's leave. */
export const wideWindows = Buffer.concat([
  frame(frameType.settings, flag.none, 0, Buffer.from([0, 4, 0x40, 0, 0, 0])),
  frame(frameType.windowUpdate, flag.none, 0, Buffer.from([0x40, 0, 0, 0])),
]);

/** A header block without compression: each name and value as they are. */
export function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(headers).flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]),
  );
}

/** The headers that open a gRPC call. */
export function callHeaders(path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return headerBlock({
    ':method': 'POST',
    ':scheme': 'https',
    ':path': path,
    ':authority': controllerTlsName,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...more,
  });
}

export function reset(stream: number): Buffer {
  return frame(frameType.reset, flag.none, stream, Buffer.from([0, 0, 0, 8]));
}

/** HPACK's literal without Huffman coding; RFC 7541, sections 5.1 and 5.2. */
function literal(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

/** A TLS connection that says what a test wants, with a certificate or without. */
export class RawPeer {
  readonly socket: TLSSocket;
  readonly closed: Promise<unknown>;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => void socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.resume();
  }

  static async connect(t: TestContext, port: number, identity?: Identity, from?: string): Promise<RawPeer> {
    const key = identity === undefined ? {} : { key: identity.privateKey, cert: identity.certificate };
    const where = { host: '127.0.0.1', port, servername: controllerTlsName, ALPNProtocols: ['h2'] };
    const localAddress = from === undefined ? {} : { localAddress: from };
    const socket = connect({ ...where, ...key, ...localAddress, rejectUnauthorized: false });
    t.after(() => socket.destroy());
    const peer = new RawPeer(socket);
    await within(5_000, 'a TLS connection', once(socket, 'secureConnect'));
    return peer;
  }

  /** Begins HTTP/2 and says this. */
  begin(...frames: readonly Buffer[]): void {
    this.say(preface, frame(frameType.settings, flag.none, 0, Buffer.alloc(0)), ...frames);
  }

  say(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }
}
