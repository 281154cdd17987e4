import type { SecureContextOptions } from 'node:tls';
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
export class ControllerCredentials extends ServerCredentials {
  constructor(
    identity: ServerIdentity,
    { handshakeMs, streamsPerConnection, headerBytes }: Limits = defaultLimits,
  ) {
    const options = {
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMs,
      settings: {
        initialWindowSize: flowControlWindowBytes,
        maxConcurrentStreams: streamsPerConnection,
        maxHeaderListSize: headerBytes,
        enablePush: false,
      },
    } as const;
    super(options, contextOf(identity));
  }

  /** For handshakes from now on; links that stand are left alone. */
  use(identity: ServerIdentity): void {
    this.updateSecureContextOptions(contextOf(identity));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOf({ privateKey, certificateChain, caCertificate }: ServerIdentity): SecureContextOptions {
  return { ca: caCertificate, cert: certificateChain, key: privateKey, minVersion: 'TLSv1.3' };
}
