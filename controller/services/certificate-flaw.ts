import type { TLSSocket } from 'node:tls';

/** By OpenSSL's name for it; ASCII, as headers are. */
const words: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  CERT_SIGNATURE_FAILURE: 'it bears the name of our CA, but not its signature',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  INVALID_PURPOSE: 'it is not for clients',
  SELF_SIGNED_CERT_IN_CHAIN: 'it is of another CA',
  UNABLE_TO_GET_ISSUER_CERT: 'it is of another CA',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it is of another CA',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it is of another CA',
};

/** Why the certificate that a peer has shown counts as none; undefined if it counts, or none was shown. */
export function certificateFlaw(socket: TLSSocket): string | undefined {
  if (socket.authorized || Object.keys(socket.getPeerCertificate()).length === 0) return undefined;
  const code = String(socket.authorizationError);
  return words[code] ?? `OpenSSL says ${code}`;
}

/** Whether OpenSSL will cut the connection: it has looked for our CA's signature in vain, and fails at the next bytes. */
export function isForged(socket: TLSSocket): boolean {
  return String(socket.authorizationError) === 'CERT_SIGNATURE_FAILURE';
}
