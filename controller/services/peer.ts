import type { PeerCertificate } from 'node:tls';
import type { Metadata, ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import type { CertificateLife } from '../../common/certificate-life.ts';
import { KomposeError } from '../../common/errors.ts';
import { protocolMetadataKey, protocolVersion } from '../../proto/protocol-version.ts';
import type { Peer } from '../identity/directory.ts';

/** In the metadata of each call with a certificate: its stream, as `HeldBytes` knows it. Never the peer's own word. */
export const streamHeader = 'kompose-stream';

/** Likewise, of each call whose peer has shown a certificate that counts as none: why it does. */
export const flawHeader = 'kompose-certificate-flaw';

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
export function peerOf(call: Pick<AnyCall, 'getAuthContext'>): Peer | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return undefined;
  const { kind, name, fingerprint } = ofCertificate(certificate);
  // TLS looked when the connection began, which may be long ago.
  if (kind === undefined || Date.parse(certificate.valid_to) <= Date.now()) return undefined;
  return { kind, name, fingerprint };
}

type Named = Pick<PeerCertificate, 'subjectaltname' | 'fingerprint256'>;

interface Holder {
  readonly kind: Peer['kind'] | undefined;
  readonly name: string;
  readonly fingerprint: string;
}

const holders = new WeakMap<Named, Holder>();

/** Whom a certificate names, if it is one of ours; read once. */
export function ofCertificate(certificate: Named): Holder {
  const holder = holders.get(certificate) ?? readHolder(certificate);
  holders.set(certificate, holder);
  return holder;
}

function readHolder({ subjectaltname, fingerprint256 }: Named): Holder {
  const match = /^URI:spiffe:\/\/kompose\/(host|user)\/([A-Za-z0-9._@-]+)$/.exec(subjectaltname ?? '');
  const [, kind, name = ''] = match ?? [];
  const fingerprint = fingerprint256.replaceAll(':', '').toLowerCase();
  return { kind: kind === 'host' || kind === 'user' ? kind : undefined, name, fingerprint };
}

/**
 * The peer, which must be of this kind if one is given. Throws `unauthenticated` without a certificate, `denied` with
 * the other's.
 */
export function requirePeer(call: Caller, kind?: Peer['kind']): Peer {
  const peer = peerOf(call);
  if (peer === undefined) throw unknownPeer(kind, call.metadata);
  if (kind !== undefined && peer.kind !== kind)
    throw new KomposeError('denied', `this is for ${kind}s; the certificate is a ${peer.kind}'s`);
  return peer;
}

/** From when to when the peer's certificate is valid; undefined without one. */
export function lifeOf(call: Caller): CertificateLife | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return undefined;
  const { valid_from: from, valid_to: to } = certificate;
  return { notBeforeMs: Date.parse(from), notAfterMs: Date.parse(to) };
}

/** What one without a valid certificate is told; `metadata` is the call's. */
export function unknownPeer(kind: Peer['kind'] | undefined, metadata: Metadata): KomposeError {
  const way = kind === 'host' ? 'kompose agent join TOKEN' : 'kompose login TOKEN';
  const flaw = metadata.get(flawHeader)[0]?.toString() ?? 'there is none, or it has expired';
  const message = `no valid client certificate (${flaw}): ${way}`;
  return new KomposeError('unauthenticated', message);
}

/** The address of the other end, without the port. */
export function clientAddress(call: Pick<AnyCall, 'getPeer'>): string {
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
