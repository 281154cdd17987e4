import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { flowControlWindowBytes } from '../../proto/channel-options.ts';
import { idInTlsName } from '../../proto/trust.ts';
import { defaultLimits, type Limits } from './limits.ts';

/** PEM throughout. */
export interface ServerIdentity {
  /** The id of the CA that signed it. */
  readonly authority: string;
  readonly privateKey: string;
  /** The server's certificate and its CA's: a newcomer knows the CA by its fingerprint and must see it. */
  readonly certificateChain: string;
  /** Whose certificates are taken from clients. */
  readonly caCertificates: string;
}

/**
 * TLS 1.3 that asks each client for a certificate and verifies one that comes, but lets a client without one in:
 * `Enrolment` is for those. Which method wants which certificate is decided per call (`peer.ts`). A client that asks for
 * a CA by the server name sees a certificate of it; any other, and one that asks for an unknown one, of the first.
 *
 * grpc-js's own certificate-provider credentials would do for that, but have no way to say the TLS version and the
 * HTTP/2 window; a server's constructor options are where both belong.
 */
export class ControllerCredentials extends ServerCredentials {
  readonly #contexts: Map<string, SecureContext>;

  /** At least one identity. */
  constructor(
    identities: readonly ServerIdentity[],
    { handshakeMs, streamsPerConnection, headerBytes }: Limits = defaultLimits,
  ) {
    const contexts = new Map<string, SecureContext>();
    const choose = (name: string, done: (error: null, context?: SecureContext) => void): void =>
      done(null, contexts.get(idInTlsName(name) ?? ''));
    const options = {
      SNICallback: choose,
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMs,
      settings: {
        initialWindowSize: flowControlWindowBytes,
        maxConcurrentStreams: streamsPerConnection,
        maxHeaderListSize: headerBytes,
        enablePush: false,
      },
    };
    super(options, contextOf(identities));
    this.#contexts = contexts;
    this.#keep(identities);
  }

  /** For handshakes from now on; links that stand are left alone. */
  use(identities: readonly ServerIdentity[]): void {
    this.#keep(identities);
    this.updateSecureContextOptions(contextOf(identities));
  }

  #keep(identities: readonly ServerIdentity[]): void {
    this.#contexts.clear();
    for (const identity of identities) {
      this.#contexts.set(identity.authority, createSecureContext(contextOf([identity])));
    }
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/** Of the first. */
function contextOf([identity]: readonly ServerIdentity[]): SecureContextOptions {
  if (identity === undefined) throw new Error('a server has an identity');
  const { privateKey: key, certificateChain: cert, caCertificates: ca } = identity;
  return { ca, cert, key, minVersion: 'TLSv1.3' };
}
