import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import type { ChainEnd } from './chain.ts';
import { isSignature, isSignedBy, keyFingerprint, type MarkKind, type SignedMark } from './signed-head.ts';

/**
 * Another key signs the audit from now on. The old key says so, and so does the new one: whoever knows the old one
 * follows, and whoever knows the new one learns what was before it.
 */
export interface KeyChange extends ChainEnd {
  /** RFC 3339. */
  readonly time: string;
  /** Ed25519, SPKI DER in base64. The old key has signed for the records up to `seq`; the next one tells of the change. */
  readonly from: string;
  readonly to: string;
  /** Base64; both over the same bytes. */
  readonly fromSignature: string;
  readonly toSignature: string;
}

/** There are never more in a chain. */
export const mostKeyChanges = 100;

/** At the chain's end, with the private keys. */
export function signKeyChange(end: ChainEnd, time: string, before: KeyObject, next: KeyObject): KeyChange {
  const { seq, hash } = end;
  const statement = { seq, hash, time, from: publicHalf(before), to: publicHalf(next) };
  const bytes = signedBytes(statement);
  const by = (key: KeyObject): string => sign(null, bytes, key).toString('base64');
  return { ...statement, fromSignature: by(before), toSignature: by(next) };
}

function publicHalf(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
}

/** Six lines of text; the first says what is signed. */
function signedBytes({
  seq,
  hash,
  time,
  from,
  to,
}: Omit<KeyChange, 'fromSignature' | 'toSignature'>): Buffer {
  return Buffer.from(`kompose audit key\n${seq}\n${hash}\n${time}\n${from}\n${to}\n`);
}

const forms = {
  hash: /^[0-9a-f]{64}$/,
  time: /^\d{4}-\d\d-\d\dT[\d:.]{8,12}Z$/,
  from: /^[A-Za-z0-9+/=]{1,200}$/,
  to: /^[A-Za-z0-9+/=]{1,200}$/,
  fromSignature: /^[A-Za-z0-9+/=]{1,200}$/,
  toSignature: /^[A-Za-z0-9+/=]{1,200}$/,
};

/** Undefined for what is none, or is not signed by both keys. */
export function parseKeyChange(value: unknown): KeyChange | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const told = value as Partial<Record<string, unknown>>;
  const areTexts = Object.entries(forms).every(([name, form]) => {
    const text = told[name];
    return typeof text === 'string' && form.test(text);
  });
  if (!areTexts || !Number.isSafeInteger(told['seq'])) return undefined;
  const { seq, hash, time, from, to, fromSignature, toSignature } = value as KeyChange;
  const change = { seq, hash, time, from, to, fromSignature, toSignature };
  const bytes = signedBytes(change);
  const isSigned = isSignature(bytes, from, fromSignature) && isSignature(bytes, to, toSignature);
  return isSigned && from !== to ? change : undefined;
}

/** All changes of a chain, oldest first, each by the key that the one before has brought; undefined for anything else. */
export function parseKeyChanges(value: unknown): KeyChange[] | undefined {
  if (!Array.isArray(value) || value.length > mostKeyChanges) return undefined;
  const changes: KeyChange[] = [];
  for (const each of value) {
    const change = parseKeyChange(each);
    const before = changes.at(-1);
    if (change === undefined) return undefined;
    if (before !== undefined && (change.from !== before.to || change.seq <= before.seq)) return undefined;
    changes.push(change);
  }
  return changes;
}

/**
 * The keys that have signed one audit, as somebody knows them who trusts one of them. The newest signs for everything; of
 * one before it counts what stands over records up to its end.
 */
export class AuditKeys {
  readonly changes: readonly KeyChange[];
  readonly #newest: string;

  private constructor(changes: readonly KeyChange[], newest: string) {
    this.changes = changes;
    this.#newest = newest;
  }

  /** Undefined if the changes do not lead to or from the key with the trusted fingerprint. */
  static follow(changes: readonly KeyChange[], trusted: string): AuditKeys | undefined {
    const last = changes.at(-1);
    if (last === undefined) return new AuditKeys([], trusted);
    const keys = [...changes.map(({ from }) => from), last.to].map(keyFingerprint);
    return keys.includes(trusted) ? new AuditKeys(changes, keyFingerprint(last.to)) : undefined;
  }

  /** The fingerprint of the key that signs now. */
  get newest(): string {
    return this.#newest;
  }

  hasSigned(kind: MarkKind, mark: SignedMark): boolean {
    if (isSignedBy(kind, mark, this.#newest)) return true;
    const end = this.changes.find(({ from }) => from === mark.key)?.seq;
    return end !== undefined && mark.seq <= end && isSignedBy(kind, mark, keyFingerprint(mark.key));
  }
}
