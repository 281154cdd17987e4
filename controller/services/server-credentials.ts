import { ServerCredentials } from '@grpc/grpc-js';
import { flowControlWindowBytes } from '../../proto/channel-options.ts';
import { defaultLimits, type Limits } from './limits.ts';

/** PEM throughout. */
export interface ServerIdentity {
  readonly privateKey: string;
  /** The server's certificate and the CA's: a newcomer knows the CA by its fingerprint and must see it. */
  readonly certificateChain: string;
  readonly caCertificate: string;
}

/**
 * TLS 1.3 that asks each client for a certificate and verifies one that comes, but lets a client without one in:
 * `Enrolment` is for those. Which method wants which certificate is decided per call (`peer.ts`).
 *
 * grpc-js's own certificate-provider credentials would do for that, but have no way to say the TLS version and the
 * HTTP/2 window; a server's constructor options are where both belong.
 */
export function serverCredentials(
  identity: ServerIdentity,
  limits: Limits = defaultLimits,
): ServerCredentials {
  return new OptionalClientCertificate(identity, limits);
}

class OptionalClientCertificate extends ServerCredentials {
  constructor(
    { privateKey, certificateChain, caCertificate }: ServerIdentity,
    { handshakeMs, streamsPerConnection, headerBytes }: Limits,
  ) {
    const options = {
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      handshakeTimeout: handshakeMs,
      settings: {
        initialWindowSize: flowControlWindowBytes,
        maxConcurrentStreams: streamsPerConnection,
        maxHeaderListSize: headerBytes,
        enablePush: false,
      },
    } as const;
    super(options, { ca: caCertificate, cert: certificateChain, key: privateKey });
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
