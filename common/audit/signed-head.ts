import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import type { ChainEnd } from './chain.ts';

/** What a signature stands over. */
export interface Mark extends ChainEnd {
  /** When it was signed, RFC 3339. */
  readonly time: string;
  /** How many records there are up to and with this one; of a stub, how many went. */
  readonly count: number;
}

/** A mark with what it takes to check it, given the key's fingerprint: the key itself is nobody's word. */
export interface SignedMark extends Mark {
  /** Ed25519, SPKI DER in base64. */
  readonly key: string;
  /** Base64. */
  readonly signature: string;
}

/** `head`: these are the chain's records. `stub`: those up to here were removed on purpose. */
export type MarkKind = 'head' | 'stub';

/** Signs with an Ed25519 key. */
export function signMark(kind: MarkKind, mark: Mark, privateKey: KeyObject): SignedMark {
  const { seq, hash, time, count } = mark;
  const key = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64');
  const signature = sign(null, signedBytes(kind, mark), privateKey).toString('base64');
  return { seq, hash, time, count, key, signature };
}

/** Whether the holder of the key with this fingerprint signed it. */
export function isSignedBy(kind: MarkKind, mark: SignedMark, fingerprint: string): boolean {
  if (keyFingerprint(mark.key) !== fingerprint) return false;
  return isSignature(signedBytes(kind, mark), mark.key, mark.signature);
}

/** Whether it is one of the Ed25519 key over these bytes; key (SPKI DER) and signature in base64. */
export function isSignature(bytes: Buffer, publicKey: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), type: 'spki', format: 'der' });
    const isEd25519 = key.asymmetricKeyType === 'ed25519';
    return isEd25519 && verify(null, bytes, key, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
}

/** SHA-256 of a public key's DER, lower-case hex. */
export function keyFingerprint(key: string): string {
  return createHash('sha256').update(Buffer.from(key, 'base64')).digest('hex');
}

/** Five lines of text; the first says what is signed, so that no signature passes for another. */
function signedBytes(kind: MarkKind, { seq, hash, time, count }: Mark): Buffer {
  return Buffer.from(`kompose audit ${kind}\n${seq}\n${hash}\n${time}\n${count}\n`);
}

/** Undefined for what is no signed mark. */
export function parseMark(value: unknown): SignedMark | undefined {
  if (!isMark(value)) return undefined;
  const { seq, hash, time, count, key, signature } = value;
  return { seq, hash, time, count, key, signature };
}

const forms = {
  hash: /^[0-9a-f]{64}$/,
  time: /^\d{4}-\d\d-\d\dT[\d:.]{8,12}Z$/,
  key: /^[A-Za-z0-9+/=]{1,200}$/,
  signature: /^[A-Za-z0-9+/=]{1,200}$/,
};

/** Whether it has the form of one, whoever signed it. */
export function isMark(value: unknown): value is SignedMark {
  if (typeof value !== 'object' || value === null) return false;
  const told = value as Partial<Record<string, unknown>>;
  const { seq, count } = told;
  const areTexts = Object.entries(forms).every(([name, form]) => {
    const text = told[name];
    return typeof text === 'string' && form.test(text);
  });
  return areTexts && Number.isSafeInteger(seq) && Number.isSafeInteger(count);
}
