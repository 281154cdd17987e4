import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { TLSSocket } from 'node:tls';
import { flowControlWindowBytes } from '../../proto/channel-options.ts';
import type { Limits } from './limits.ts';

const channel = 'http2.server.stream.start';
const encodingHeader = 'grpc-encoding';

interface StreamStart {
  readonly stream: ServerHttp2Stream;
  /** The very object that gRPC will read. */
  readonly headers: Record<string, unknown>;
}

/**
 * Looks at each HTTP/2 stream before gRPC does: grpc-js hides its sessions, and Node tells of each new stream on a
 * diagnostics channel. Peers with a certificate get a window that lets them send at the network's pace. Those without
 * keep HTTP/2's own, of 64 KiB, and are cut off once they have sent more than a login takes. Compressed messages meet
 * with UNIMPLEMENTED: no client of ours sends any, and what they grow to is known too late.
 */
export function guardSessions({ newcomerBytes }: Pick<Limits, 'newcomerBytes'>): Disposable {
  const raised = new WeakSet<ServerHttp2Session>();
  const received = new WeakMap<ServerHttp2Session, number>();

  function guard(message: unknown): void {
    const { stream, headers } = message as StreamStart;
    const { session } = stream;
    if (!isServerSession(session)) return;
    if ((headers[encodingHeader] ?? 'identity') !== 'identity') headers[encodingHeader] = 'none-is-taken';
    answerOnlyTheLiving(stream);
    if (!isKnown(session)) {
      stream.on('data', (chunk: Buffer) => {
        const bytes = (received.get(session) ?? 0) + chunk.length;
        received.set(session, bytes);
        if (bytes > newcomerBytes) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      });
      stream.pause();
    } else if (!raised.has(session)) {
      raised.add(session);
      session.setLocalWindowSize(flowControlWindowBytes);
    }
  }

  subscribe(channel, guard);
  return { [Symbol.dispose]: () => void unsubscribe(channel, guard) };
}

/** grpc-js answers a wrong path or content type at once, and takes what Node throws where the peer is gone for a bug. */
function answerOnlyTheLiving(stream: ServerHttp2Stream): void {
  const respond = stream.respond.bind(stream);
  stream.respond = (...headers) => {
    if (!stream.destroyed) respond(...headers);
  };
}

function isKnown({ socket }: ServerHttp2Session): boolean {
  return socket instanceof TLSSocket && socket.authorized;
}

function isServerSession(session: ServerHttp2Stream['session']): session is ServerHttp2Session {
  return session !== undefined && !session.destroyed;
}
