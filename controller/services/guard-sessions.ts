import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { TLSSocket } from 'node:tls';
import { stdinWindowBytes } from '../../common/stdin-window.ts';
import { flowControlWindowBytes } from '../../proto/channel-options.ts';
import type { HeldBytes } from './held-bytes.ts';
import { certificateFlaw } from './certificate-flaw.ts';
import type { Limits } from './limits.ts';
import { flawHeader, ofCertificate, streamHeader } from './peer.ts';

const channel = 'http2.server.stream.start';
const encodingHeader = 'grpc-encoding';
/** What is on its way on one connection; a user sends much only as stdin. */
const windows = { host: flowControlWindowBytes, user: 2 * stdinWindowBytes };

/** To gRPC, a certificate without its bytes is none. */
const noBytes = Buffer.alloc(0);

interface StreamStart {
  readonly stream: ServerHttp2Stream;
  /** The very object that gRPC will read. */
  readonly headers: Record<string, unknown>;
}

/**
 * Looks at each HTTP/2 stream before gRPC does: grpc-js hides its sessions, and Node tells of each new stream on a
 * diagnostics channel. Peers with a certificate get a window that lets them send at the network's pace, and what is held
 * for them is counted. Those without keep HTTP/2's own, of 64 KiB, and are cut off once they have sent more than a login
 * takes. Compressed messages meet with UNIMPLEMENTED: no client of ours sends any, and what they grow to is known too
 * late.
 */
export function guardSessions({ newcomerBytes }: Pick<Limits, 'newcomerBytes'>, held: HeldBytes): Disposable {
  /** The fingerprints of those whose window is raised. */
  const known = new WeakMap<ServerHttp2Session, string>();
  const received = new WeakMap<ServerHttp2Session, number>();

  function guard(message: unknown): void {
    const { stream, headers } = message as StreamStart;
    const { session } = stream;
    if (!isServerSession(session)) return;
    if ((headers[encodingHeader] ?? 'identity') !== 'identity') headers[encodingHeader] = 'none-is-taken';
    delete headers[streamHeader];
    delete headers[flawHeader];
    answerOnlyTheLiving(stream);
    const { socket } = session;
    const peer = known.get(session) ?? welcome(session, socket);
    if (peer === undefined) {
      const flaw = socket instanceof TLSSocket ? certificateFlaw(socket) : undefined;
      if (flaw !== undefined) headers[flawHeader] = flaw;
      stream.on('data', (chunk: Buffer) => {
        const bytes = (received.get(session) ?? 0) + chunk.length;
        received.set(session, bytes);
        if (bytes > newcomerBytes) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      });
      stream.pause();
      return;
    }
    known.set(session, peer);
    headers[streamHeader] = held.follow(stream, peer);
  }

  subscribe(channel, guard);
  return { [Symbol.dispose]: () => void unsubscribe(channel, guard) };
}

/** Gives the fingerprint of who is authorized. A session that TLS has resumed may be so without a certificate: not here. */
function welcome(session: ServerHttp2Session, socket: ServerHttp2Session['socket']): string | undefined {
  if (!isAuthorized(socket)) return undefined;
  const shown = socket.getPeerX509Certificate();
  if (shown === undefined) return undefined;
  // Each call asks for it more than once, and TLS would read all of it anew each time. What nobody here asks for is
  // kilobytes, and a fifth of a handshake's time.
  const { subjectAltName: subjectaltname = '', fingerprint256, validFrom, validTo } = shown;
  const certificate = {
    subjectaltname,
    fingerprint256,
    valid_from: validFrom,
    valid_to: validTo,
    raw: noBytes,
  };
  socket.getPeerCertificate = (() => certificate) as unknown as TLSSocket['getPeerCertificate'];
  const { kind, fingerprint } = ofCertificate(certificate);
  session.setLocalWindowSize(windows[kind ?? 'user']);
  return fingerprint;
}

/** grpc-js answers a wrong path or content type at once, and takes what Node throws where the peer is gone for a bug. */
function answerOnlyTheLiving(stream: ServerHttp2Stream): void {
  const respond = stream.respond.bind(stream);
  stream.respond = (...headers) => {
    if (!stream.destroyed) respond(...headers);
  };
}

function isAuthorized(socket: ServerHttp2Session['socket']): socket is TLSSocket {
  return socket instanceof TLSSocket && socket.authorized;
}

function isServerSession(session: ServerHttp2Stream['session']): session is ServerHttp2Session {
  return session !== undefined && !session.destroyed;
}
