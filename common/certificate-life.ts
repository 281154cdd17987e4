import { createHash } from 'node:crypto';

/** How far a peer's clock may be behind and still accept a fresh certificate: it is valid from so long before. */
export const certificateSkewMs = 10 * 60 * 1000;

export interface CertificateLife {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * When a certificate is renewed: at two thirds of its life, and up to a twelfth later, by its holder's name, so that
 * a fleet that joined together does not renew together. Pure.
 */
export function renewalDueMs({ notBeforeMs, notAfterMs }: CertificateLife, holder: string): number {
  const lifeMs = notAfterMs - (notBeforeMs + certificateSkewMs);
  const spread = createHash('sha256').update(holder).digest().readUInt32BE() / 2 ** 32;
  return notAfterMs - lifeMs / 3 + (lifeMs / 12) * spread;
}
