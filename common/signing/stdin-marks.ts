import {
  createHmac,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';
import { KomposeError } from '../errors.ts';

/*
 * What shows that a piece of stdin is its user's. Each key that is typed is one, so it costs less than a signature.
 *
 * The client makes an X25519 key for the run, whose public half the user signs with the order; the agent makes one for the
 * task, and tells its public half. From their common secret both derive a key (HKDF-SHA256), and each piece bears a mark by
 * it (HMAC-SHA256).
 *
 * INVARIANT: nobody but these two can make a mark that the agent takes. The agent's half need not be proven for that: whoever
 * puts another in its place has marks of the client's that the agent does not take, and still not the secret.
 */

/** A piece of a task's stdin; `offset` counts bytes from the first, after `isEnd` comes none. */
export interface StdinPart {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly isEnd: boolean;
}

/** One side's, for one task. */
export interface StdinKey {
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly privateKey: KeyObject;
}

export type MarkStdin = (part: StdinPart) => Uint8Array;
export type KnowsStdin = (part: StdinPart, mark: Uint8Array) => boolean;

const keyBytes = 32;
const markBytes = 32;
/** SPKI DER of an X25519 key up to its bytes, as RFC 8410 has it. */
const spkiPrefix = Buffer.from('302a300506032b656e032100', 'hex');

export function createStdinKey(): StdinKey {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return { publicKey: Uint8Array.from(der.subarray(spkiPrefix.length)), privateKey };
}

/** Whether it can be the public half of one. */
export function isStdinKey(publicKey: Uint8Array): boolean {
  return publicKey.length === keyBytes;
}

/** Whether it can be the mark of a piece. */
export function isStdinMark(mark: Uint8Array): boolean {
  return mark.length === markBytes;
}

/** The client's marks, for an agent with this public key. Throws `protocol` for what is no key. */
export function stdinMarker(client: StdinKey, agent: Uint8Array, task: string): MarkStdin {
  const key = agree(client, agent, [client.publicKey, agent], task);
  return (part) => markOf(part, key);
}

/** Tells whether they are those of the client with this public key. Throws `protocol` for what is no key. */
export function stdinJudge(agent: StdinKey, client: Uint8Array, task: string): KnowsStdin {
  const key = agree(agent, client, [client, agent.publicKey], task);
  return (part, mark) => {
    const expected = markOf(part, key);
    return isStdinMark(mark) && timingSafeEqual(mark, expected);
  };
}

function agree(
  { privateKey }: StdinKey,
  other: Uint8Array,
  halves: readonly Uint8Array[],
  task: string,
): KeyObject {
  const secret = secretOf(privateKey, other);
  const about = Buffer.concat([...halves, Buffer.from(`kompose stdin\n${task}\n`)]);
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', about, keyBytes)));
}

function secretOf(privateKey: KeyObject, other: Uint8Array): Buffer {
  try {
    const der = Buffer.concat([spkiPrefix, other]);
    return diffieHellman({
      privateKey,
      publicKey: createPublicKey({ key: der, format: 'der', type: 'spki' }),
    });
  } catch (error) {
    throw new KomposeError('protocol', 'what was told as a key for stdin is none', { cause: error });
  }
}

function markOf({ offset, data, isEnd }: StdinPart, key: KeyObject): Buffer {
  const place = `${offset}\n${isEnd ? 'end' : 'more'}\n`;
  return createHmac('sha256', key).update(place).update(data).digest();
}
