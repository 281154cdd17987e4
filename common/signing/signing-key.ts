import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';

/** An Ed25519 key that signs; `publicKey` is SPKI DER in base64, as everywhere. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: string;
}

/** PKCS #8 of an Ed25519 key up to its 32 bytes of seed, as RFC 8410 has it. */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

export function createSigningKey(): SigningKey {
  return withPublicKey(generateKeyPairSync('ed25519').privateKey);
}

/** The same 32 bytes make the same key. */
export function signingKeyOfSeed(seed: Uint8Array): SigningKey {
  const key = Buffer.concat([pkcs8Prefix, seed]);
  return withPublicKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
}

export function signingKeyToPem({ privateKey }: SigningKey): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Throws what Node throws for a text that is no key. */
export function signingKeyFromPem(pem: string): SigningKey {
  return withPublicKey(createPrivateKey(pem));
}

function withPublicKey(privateKey: KeyObject): SigningKey {
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64');
  return { privateKey, publicKey };
}

export function signText({ privateKey }: SigningKey, text: string): Buffer {
  return sign(null, Buffer.from(text), privateKey);
}

/** Whether the holder of this public key signed it; false for what is no Ed25519 key. */
export function isSignatureOf(publicKey: string, text: string, signature: Uint8Array): boolean {
  const key = keyOf(publicKey);
  return key !== undefined && verify(null, Buffer.from(text), key, signature);
}

/** Keys that signatures were held against: making one of its text takes half as long as a verification. */
const parsed = new Map<string, KeyObject | undefined>();
const mostParsed = 1_000;

function keyOf(publicKey: string): KeyObject | undefined {
  if (parsed.has(publicKey)) return parsed.get(publicKey);
  if (parsed.size >= mostParsed) parsed.clear();
  const key = parse(publicKey);
  parsed.set(publicKey, key);
  return key;
}

function parse(publicKey: string): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), type: 'spki', format: 'der' });
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}
