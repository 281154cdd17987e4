import { X509Certificate } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';

/*
 * Whom a peer trusts: the fleet's CA or, while it is rotated, the old one and the new one, as one PEM text with the
 * newest last. A client asks for the newest that it trusts by the TLS server name; the controller has a certificate of
 * each, so that nobody is shown one that they cannot verify.
 */

const key = 'kompose-trust';
const idLength = 32;
const tlsDomain = 'ca.kompose-controller';

/** Of each PEM certificate in a text. */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** What a CA is called among peers: the first half of the SHA-256 of its certificate (DER), lower-case hex. */
export function authorityId(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase().slice(0, idLength);
}

/** Likewise, from the whole fingerprint as tokens carry it: base64url. */
export function idOfFingerprint(fingerprint: string): string {
  return Buffer.from(fingerprint, 'base64url').toString('hex').slice(0, idLength);
}

/** The ids of the CAs in a PEM text, in its order. */
export function trustOf(caCertificates: string): string[] {
  return certificatesIn(caCertificates).map(authorityId);
}

/** The server name by which a client asks for a certificate of this CA. */
export function tlsNameOf(id: string): string {
  return `${id}.${tlsDomain}`;
}

/** The CA that a server name asks for; undefined for one that asks for none. */
export function idInTlsName(name: string): string | undefined {
  return name.endsWith(`.${tlsDomain}`) ? name.slice(0, -tlsDomain.length - 1) : undefined;
}

/** What every certificate of a controller bears, beside its plain name. */
export const tlsNamePattern = `*.${tlsDomain}`;

/** A user tells with each call whom they trust, the controller with each answer whom they should. */
export function addTrust(metadata: Metadata, ids: readonly string[]): Metadata {
  metadata.set(key, ids.join(' '));
  return metadata;
}

/** Undefined where nothing is told. */
export function trustIn(metadata: Metadata): string[] | undefined {
  const [text] = metadata.get(key);
  return typeof text === 'string' && text !== '' ? text.split(' ') : undefined;
}
