import 'reflect-metadata';
import { createHash, webcrypto, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import { certificateSkewMs, type CertificateLife } from '../../common/certificate-life.ts';
import { KomposeError } from '../../common/errors.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 24 * 60 * 60 * 1000;

/** A key and its certificate, PEM. */
export interface KeyPair {
  readonly privateKey: string;
  readonly certificate: string;
}

export interface Issued {
  /** PEM. */
  readonly certificate: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  readonly notAfterMs: number;
}

/** How far the clock of an agent or a user may be behind and still know a fresh CA. */
const authoritySkewMs = 2 * dayMs;
const authorityLifeMs = 3650 * dayMs;
/** A new one is made each day: it ends only with a controller whose clock stands still. */
const serverLifeMs = 90 * dayMs;

/**
 * Makes a certificate authority for one fleet; valid ten years. Each has a name of its own: of two that are trusted,
 * TLS looks for the issuer of a certificate by name.
 */
export async function createAuthority(nowMs: number): Promise<KeyPair> {
  const keys = await generateKeys();
  const serialNumber = randomSerial();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber,
      name: `CN=kompose fleet CA ${serialNumber.slice(0, 8)}`,
      notBefore: new Date(nowMs - authoritySkewMs),
      notAfter: new Date(nowMs + authorityLifeMs),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ],
    },
    webcrypto,
  );
  return { privateKey: await exportKey(keys.privateKey), certificate: pemOf(certificate) };
}

/**
 * A server's key and certificate for `hosts` (names or IP addresses); valid three months, and from as early as its CA:
 * whoever looks at it has a clock of their own.
 */
export async function createServerPair(
  authority: KeyPair,
  hosts: readonly string[],
  nowMs: number,
): Promise<KeyPair> {
  const notBeforeMs = new X509Certificate(authority.certificate).validFromDate.getTime();
  const life = { notBeforeMs, notAfterMs: nowMs + serverLifeMs };
  const keys = await generateKeys();
  const names = hosts.map((value) => ({
    type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const),
    value,
  }));
  const { certificate } = await sign(authority, keys.publicKey, life, 'CN=kompose controller', [
    new x509.SubjectAlternativeNameExtension(names),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
  ]);
  return { privateKey: await exportKey(keys.privateKey), certificate };
}

/**
 * Signs a peer's request. Of the request only its key counts, once its signature proves that the peer has it; the
 * name is the caller's word. Throws `usage` for a request that is no ECDSA P-256 one.
 */
export async function issueClientCertificate(
  authority: KeyPair,
  request: Uint8Array,
  identity: { readonly kind: 'host' | 'user'; readonly name: string },
  validMs: number,
  nowMs: number,
): Promise<Issued> {
  const key = await requestedKey(request);
  const life = { notBeforeMs: nowMs - certificateSkewMs, notAfterMs: nowMs + validMs };
  return sign(authority, key, life, `CN=${identity.name}`, [
    new x509.SubjectAlternativeNameExtension([{ type: 'url', value: identityUri(identity) }]),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
  ]);
}

/** `spiffe://kompose/host/prod-1`, `spiffe://kompose/user/ada`. */
export function identityUri({ kind, name }: { readonly kind: string; readonly name: string }): string {
  return `spiffe://kompose/${kind}/${name}`;
}

/** As tokens carry it: SHA-256 of the DER, base64url. */
export function authorityFingerprint(certificate: string): string {
  return createHash('sha256').update(new X509Certificate(certificate).raw).digest('base64url');
}

async function requestedKey(request: Uint8Array): Promise<webcrypto.CryptoKey> {
  try {
    const parsed = new x509.Pkcs10CertificateRequest(Buffer.from(request));
    const key = await parsed.publicKey.export(algorithm, ['verify'], webcrypto);
    if (await parsed.verify(webcrypto)) return key;
  } catch (error) {
    throw new KomposeError('usage', 'the certificate request is malformed', { cause: error });
  }
  throw new KomposeError('usage', 'the certificate request is not signed by its own key');
}

async function sign(
  authority: KeyPair,
  publicKey: webcrypto.CryptoKey,
  { notBeforeMs, notAfterMs }: CertificateLife,
  subject: string,
  extensions: x509.Extension[],
): Promise<Issued> {
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: randomSerial(),
      subject,
      issuer: issuer.subject,
      notBefore: new Date(notBeforeMs),
      notAfter: new Date(notAfterMs),
      publicKey,
      signingKey: await importKey(authority.privateKey),
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto),
        ...extensions,
      ],
    },
    webcrypto,
  );
  const fingerprint = createHash('sha256').update(Buffer.from(certificate.rawData)).digest('hex');
  return { certificate: pemOf(certificate), fingerprint, notAfterMs };
}

/** With the newline at the end that lets PEM blocks be joined. */
function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = x509.PemConverter.decodeFirst(pem);
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

/** 16 random bytes, positive and not beginning with a zero byte. */
function randomSerial(): string {
  const bytes = Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
