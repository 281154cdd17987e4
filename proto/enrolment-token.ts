import { KomposeError } from '../common/errors.ts';

/**
 * What a token tells the one who uses it: where the controller is, by which CA to know it, the secret that proves the
 * invitation, whose signatures to believe, and who the user is. As text: `kmp1.` and base64url of a JSON array
 * [addresses, CA's fingerprint, seed, root, user].
 */
export interface EnrolmentToken {
  /** HOST:PORT, to be tried in order. */
  readonly addresses: readonly string[];
  /** SHA-256 of the CA's certificate (DER), base64url. */
  readonly caFingerprint: string;
  /** Secrets are made of it (common/signing/token-secrets.ts); the controller never gets it itself. */
  readonly seed: string;
  /** The fingerprint of the key that begins the roster; empty: whoever logs in with this token begins one. */
  readonly root: string;
  /** The user's name, or `ROLE-*` where whoever logs in chooses the end of it; empty for a host. */
  readonly user: string;
}

const prefix = 'kmp1.';

export function formatToken({ addresses, caFingerprint, seed, root, user }: EnrolmentToken): string {
  const fields = [addresses, caFingerprint, seed, root, user];
  return prefix + Buffer.from(JSON.stringify(fields)).toString('base64url');
}

/** Throws `usage` for anything that formatToken did not make; never repeats the text, which may be a secret. */
export function parseToken(text: string): EnrolmentToken {
  const parsed = decode(text.trim());
  if (!Array.isArray(parsed) || parsed.length !== 5) throw malformed();
  const [addresses, caFingerprint, seed, root, user]: unknown[] = parsed;
  if (!isAddressList(addresses) || !isWord(caFingerprint) || !isWord(seed)) throw malformed();
  if (!isText(root, /^(?:[0-9a-f]{64})?$/) || !isText(user, /^[\w.-]{0,63}\*?$/)) throw malformed();
  return { addresses, caFingerprint, seed, root, user };
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

function isText(value: unknown, form: RegExp): value is string {
  return typeof value === 'string' && form.test(value);
}

function malformed(cause?: unknown): KomposeError {
  return new KomposeError(
    'usage',
    'this is not a kompose token (it begins with kmp1.): paste it whole, as `kompose tokens create` printed it',
    { cause },
  );
}
