import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import { signingKeyOfSeed, type SigningKey } from './signing-key.ts';

/** What a token's one secret is good for. The controller gets to know `secret` when the token is used, `key` never. */
export interface TokenSecrets {
  /** Proves the invitation to the controller, which keeps its hash. */
  readonly secret: string;
  /** Signs the public key of the user who logs in. */
  readonly key: SigningKey;
}

const seedBytes = 24;

/** A new token's, base64url: whoever makes a token keeps it to themselves, but for the token's text. */
export function createTokenSeed(): string {
  return randomBytes(seedBytes).toString('base64url');
}

/** Two secrets of which neither tells the other. */
export function tokenSecrets(seed: string): TokenSecrets {
  const derive = (purpose: string, bytes: number): Buffer =>
    Buffer.from(hkdfSync('sha256', seed, '', `kompose token ${purpose}`, bytes));
  return {
    secret: derive('secret', seedBytes).toString('base64url'),
    key: signingKeyOfSeed(derive('key', 32)),
  };
}

/** As the controller keeps a token's secret. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

const hourMs = 60 * 60 * 1000;

/** How long a token can be used unless somebody says otherwise. */
export function defaultTokenLifeMs(role: string): number {
  return role === 'agent' ? 24 * hourMs : hourMs;
}
