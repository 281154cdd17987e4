import type { Metadata, ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { KomposeError } from '../../common/errors.ts';
import { protocolMetadataKey, protocolVersion } from '../../proto/protocol-version.ts';
import type { Peer } from '../identity/directory.ts';

/** Any call, as far as it tells of the one who makes it. */
export type AnyCall =
  | ServerUnaryCall<never, never>
  | ServerWritableStream<never, never>
  | ServerDuplexStream<never, never>;

type Caller = Pick<AnyCall, 'getAuthContext' | 'getPeer'> & { readonly metadata: Metadata };

/**
 * Who a call's verified client certificate names; undefined without one. A certificate of another CA, an expired
 * one or a self-signed one counts as none: TLS has not verified it.
 */
export function peerOf(call: Caller): Peer | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  const match = /^URI:spiffe:\/\/kompose\/(host|user)\/([A-Za-z0-9._@-]+)$/.exec(
    certificate?.subjectaltname ?? '',
  );
  const [, kind, name] = match ?? [];
  if (certificate === undefined || name === undefined) return undefined;
  const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return { kind: kind === 'host' ? 'host' : 'user', name, fingerprint };
}

/** The peer, which must be of this kind. Throws `unauthenticated` without a certificate, `denied` with the other's. */
export function requirePeer(call: Caller, kind: Peer['kind']): Peer {
  const peer = peerOf(call);
  if (peer === undefined) {
    const message = 'no valid client certificate (not logged in, or it has expired): kompose login TOKEN';
    throw new KomposeError('unauthenticated', message);
  }
  if (peer.kind !== kind)
    throw new KomposeError('denied', `this is for ${kind}s; the certificate is a ${peer.kind}'s`);
  return peer;
}

/** The address of the other end, without the port. */
export function clientAddress(call: Caller): string {
  return call.getPeer().replace(/:\d+$/, '');
}

/** Throws `protocol` for a client of another protocol version. */
export function requireProtocol(call: Caller): void {
  const told = call.metadata.get(protocolMetadataKey)[0]?.toString();
  if (told === String(protocolVersion)) return;
  const theirs = told === undefined ? 'no protocol version' : `protocol ${told}`;
  throw new KomposeError(
    'protocol',
    `this client speaks ${theirs}, the controller ${protocolVersion}: upgrade the older`,
  );
}
