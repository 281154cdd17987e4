import { createHash, X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { credentials, Metadata, type ChannelCredentials } from '@grpc/grpc-js';
import { KomposeError } from '../common/errors.ts';
import type { SigningKey } from '../common/signing/signing-key.ts';
import { tokenSecrets } from '../common/signing/token-secrets.ts';
import { channelOptionsFor } from './channel-options.ts';
import { closingWithClient } from './closing-credentials.ts';
import { parseToken } from './enrolment-token.ts';
import { EnrolmentClient, type RenewResponse } from './gen/kompose/v1/enrolment.ts';
import { fromStatus, shortCause } from './status.ts';
import { idOfFingerprint, tlsNameOf } from './trust.ts';

/** What a peer keeps to be known by: PEM throughout. */
export interface Identity {
  readonly privateKey: string;
  readonly certificate: string;
  /** Of the fleet's CA; while it is rotated the old one's, then the new one's. */
  readonly caCertificate: string;
}

/** A token's first contact, with the controller already known by its CA. */
export interface Enrolment {
  readonly addresses: readonly string[];
  readonly address: string;
  /** For the controller. */
  readonly secret: string;
  /** The token's, which signs the key of a new user; never for the controller. */
  readonly key: SigningKey;
  /** As in EnrolmentToken. */
  readonly root: string;
  readonly user: string;
  readonly caCertificate: string;
  readonly client: EnrolmentClient;
}

const connectTimeoutMs = 10_000;

/**
 * Finds the controller that a token names and proves that it is the one: its certificate chain ends in the CA
 * of the token's fingerprint. The caller closes `client`. Errors: `usage` (no token), `controller-unreachable`,
 * `unauthenticated` (another CA answers there).
 */
export async function openEnrolment(tokenText: string): Promise<Enrolment> {
  const { addresses, caFingerprint, seed, root, user } = parseToken(tokenText);
  const told = { addresses, ...tokenSecrets(seed), root, user };
  let last: unknown;
  for (const address of addresses) {
    try {
      const caCertificate = await fetchCa(address, caFingerprint);
      const trusted = credentials.createSsl(Buffer.from(caCertificate));
      const client = new EnrolmentClient(address, trusted, channelOptionsFor(caCertificate));
      return { ...told, address, caCertificate, client };
    } catch (error) {
      last = error;
      if (error instanceof KomposeError && error.code === 'unauthenticated') throw error;
    }
  }
  throw last;
}

/** The credentials of an enrolled peer. */
export function identityCredentials(identity: Identity): ChannelCredentials {
  return closingWithClient(
    credentials.createSsl(
      Buffer.from(identity.caCertificate),
      Buffer.from(identity.privateKey),
      Buffer.from(identity.certificate),
    ),
  );
}

/** As its module; that is loaded when asked for: few commands do, and it is a quarter of a start. */
export async function createCertificateRequest(): Promise<{ privateKey: string; request: Uint8Array }> {
  return (await import('./certificate-request.ts')).createCertificateRequest();
}

/**
 * Another certificate, with another key, in place of `identity`'s, which must still be valid, and what to trust with
 * it. Errors: `controller-unreachable`, `unauthenticated`, `denied`.
 */
export async function renewIdentity(address: string, identity: Identity): Promise<Identity> {
  const { privateKey, request: certificateRequest } = await createCertificateRequest();
  const channelOptions = channelOptionsFor(identity.caCertificate);
  const client = new EnrolmentClient(address, identityCredentials(identity), channelOptions);
  try {
    const options = { deadline: Date.now() + connectTimeoutMs };
    const { certificate, caCertificates } = await unary<RenewResponse>(address, (callback) =>
      client.renew({ certificateRequest }, new Metadata(), options, callback),
    );
    return { privateKey, certificate, caCertificate: caCertificates };
  } finally {
    client.close();
  }
}

/** Promise of a unary call, with the error translated. */
export function unary<Response>(
  peer: string,
  call: (callback: (error: Error | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    call((error, response) => {
      if (error === null) resolve(response);
      else reject(fromStatus(error, peer));
    });
  });
}

/**
 * The CA certificate (PEM) that the controller at `address` shows in its chain, if it has the fingerprint. Trust
 * comes from the fingerprint alone, so the handshake itself verifies nothing and sends nothing.
 */
function fetchCa(address: string, fingerprint: string): Promise<string> {
  const { host, port } = splitAddress(address);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      servername: tlsNameOf(idOfFingerprint(fingerprint)),
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
    });
    const fail = (error: KomposeError): void => {
      socket.destroy();
      reject(error);
    };
    const unreachable = (why: string, cause?: unknown): KomposeError =>
      new KomposeError('controller-unreachable', `cannot reach the controller at ${address}: ${why}`, {
        cause,
      });
    socket.setTimeout(connectTimeoutMs, () => fail(unreachable('no answer')));
    socket.once('error', (error) => fail(unreachable(shortCause(error.message), error)));
    socket.once('secureConnect', () => {
      const ca = socket.getPeerCertificate(true).issuerCertificate?.raw;
      const shown = ca === undefined ? '' : createHash('sha256').update(ca).digest('base64url');
      if (ca === undefined || shown !== fingerprint) {
        const message =
          `the controller at ${address} is not the one that made this token, or has another CA since: ` +
          'ask an admin for a new token';
        fail(new KomposeError('unauthenticated', message));
        return;
      }
      socket.destroy();
      resolve(new X509Certificate(ca).toString());
    });
  });
}

/** HOST:PORT, the host possibly an IPv6 address in brackets. Throws `usage`. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new KomposeError('usage', `${JSON.stringify(address)} is not an address: write HOST:PORT`);
  }
  return { host, port };
}
