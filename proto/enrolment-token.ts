import { KomposeError } from '../common/errors.ts';

/**
 * What a token tells the one who uses it: where the controller is, by which CA to know it, and the secret that
 * proves the invitation. As text: `kmp1.` and base64url of a JSON array [addresses, fingerprint, secret].
 */
export interface EnrolmentToken {
  /** HOST:PORT, to be tried in order. */
  readonly addresses: readonly string[];
  /** SHA-256 of the CA's certificate (DER), base64url. */
  readonly caFingerprint: string;
  readonly secret: string;
}

const prefix = 'kmp1.';

export function formatToken({ addresses, caFingerprint, secret }: EnrolmentToken): string {
  return prefix + Buffer.from(JSON.stringify([addresses, caFingerprint, secret])).toString('base64url');
}

/** Throws `usage` for anything that formatToken did not make; never repeats the text, which may be a secret. */
export function parseToken(text: string): EnrolmentToken {
  const parsed = decode(text.trim());
  if (!Array.isArray(parsed) || parsed.length !== 3) throw malformed();
  const [addresses, caFingerprint, secret]: unknown[] = parsed;
  if (!isAddressList(addresses) || !isWord(caFingerprint) || !isWord(secret)) throw malformed();
  return { addresses, caFingerprint, secret };
}

function decode(text: string): unknown {
  if (!text.startsWith(prefix) || text.length > 4096) throw malformed();
  try {
    return JSON.parse(Buffer.from(text.slice(prefix.length), 'base64url').toString());
  } catch (error) {
    throw malformed(error);
  }
}

function isAddressList(value: unknown): value is string[] {
  return (
    Array.isArray(value) && value.length > 0 && value.every((item) => isWord(item) && /:\d+$/.test(item))
  );
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,512}$/.test(value);
}

function malformed(cause?: unknown): KomposeError {
  return new KomposeError(
    'usage',
    'this is not a kompose token (it begins with kmp1.): paste it whole, as `kompose tokens create` printed it',
    { cause },
  );
}
