import { randomBytes } from 'node:crypto';
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { KomposeError } from './errors.ts';

/*
 * What only one holder of a key can read: HPKE (RFC 9180) in base mode, with the suite that SealedTask in
 * agent_link.proto names.
 */

const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

/** Of a public key, and of an encapsulated one. */
const keyBytes = 32;
const seedBytes = 32;
const info = new TextEncoder().encode('kompose task');

/** What a key pair is made of; a secret. */
export function createSealingSeed(): Uint8Array {
  return randomBytes(seedBytes);
}

/** Opens what was sealed to its public key. */
export interface SealingKey {
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** `context` is that which it was sealed for. Throws `denied`. */
  open(sealed: Uint8Array, context: string): Promise<Uint8Array>;
}

/** Throws `failed` for what is no seed. */
export async function sealingKey(seed: Uint8Array): Promise<SealingKey> {
  if (seed.length !== seedBytes) throw new KomposeError('failed', 'this is not the seed of a sealing key');
  const { privateKey, publicKey } = await suite.kem.deriveKeyPair(plain(seed));
  const open = async (sealed: Uint8Array, context: string): Promise<Uint8Array> => {
    try {
      const enc = plain(sealed.subarray(0, keyBytes));
      const text = plain(sealed.subarray(keyBytes));
      return new Uint8Array(await suite.open({ recipientKey: privateKey, enc, info }, text, aad(context)));
    } catch (error) {
      const message = 'what was sealed to this host cannot be opened: was it sealed to an earlier key?';
      throw new KomposeError('denied', message, { cause: error });
    }
  };
  return { publicKey: new Uint8Array(await suite.kem.serializePublicKey(publicKey)), open };
}

export function isSealingKey(publicKey: Uint8Array): boolean {
  return publicKey.length === keyBytes;
}

/** The encapsulated key, then the ciphertext; it opens for the same `context` only. */
export async function sealTo(publicKey: Uint8Array, bytes: Uint8Array, context: string): Promise<Uint8Array> {
  const recipientPublicKey = await suite.kem.deserializePublicKey(plain(publicKey));
  const { enc, ct } = await suite.seal({ recipientPublicKey, info }, plain(bytes), aad(context));
  return Buffer.concat([new Uint8Array(enc), new Uint8Array(ct)]);
}

function aad(context: string): ArrayBuffer {
  return plain(new TextEncoder().encode(context));
}

/** A copy that is a buffer of its own. */
function plain(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
