import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

/** A new key for the audit's signatures: Ed25519, PEM. */
export function createAuditKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export function parseAuditKey(pem: string): KeyObject {
  return createPrivateKey(pem);
}

/** What those who verify must know: SPKI DER, base64. */
export function publicAuditKey(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
}
