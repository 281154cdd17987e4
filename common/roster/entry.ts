import { isRoleName, isUserName } from '../names.ts';
import { signText, type SigningKey } from '../signing/signing-key.ts';
import { rosterText } from '../signing/signed-text.ts';

/*
 * The form of an entry of the roster: a body, which is one line of JSON, and the signature over it. A body's bytes are
 * taken as they stand: it is never parsed and written anew.
 *
 *     {"type":"root","name":"ada","key":K}                       signed by K: the first entry, and only that
 *     {"type":"invite","key":T,"user":"bob","role":"viewer","uses":1,"until":…,"seq":2,"previous":H,"by":K}
 *     {"type":"join","name":"bob","key":B,"invite":T}            signed by T, the key that is in the token's text
 *     {"type":"withdraw","key":T,"seq":…,"previous":H,"by":K}    of an invite
 *     {"type":"role","name":"bob","role":"admin","seq":…,"previous":H,"by":K}
 *     {"type":"remove","name":"bob","seq":…,"previous":H,"by":K}
 *
 * What an admin signs names its place: the number of the entry and the hash of the roster before it. Who joins knows no
 * place, and needs none: an invite is good for so many joins, and a key for one, wherever they stand.
 */

/** As it is kept and sent; the signature is base64. */
export interface RosterEntry {
  readonly body: string;
  readonly signature: string;
}

/** Somebody who has the token may become a user. */
export interface Invite {
  readonly type: 'invite';
  /** Of the token. */
  readonly key: string;
  /** Empty: whoever joins chooses the name. */
  readonly user: string;
  readonly role: string;
  readonly uses: number;
  /** Unix milliseconds. From then on admins' clients withdraw it. */
  readonly until: number;
}

/** What an admin changes. */
export type RosterChange =
  | Invite
  | { readonly type: 'withdraw'; readonly key: string }
  | { readonly type: 'role'; readonly name: string; readonly role: string }
  | { readonly type: 'remove'; readonly name: string };

/** Where an admin's entry stands, and whose it is. */
export interface RosterPlace {
  readonly seq: number;
  readonly previous: string;
  readonly by: string;
}

export type RosterBody =
  | { readonly type: 'root'; readonly name: string; readonly key: string }
  | { readonly type: 'join'; readonly name: string; readonly key: string; readonly invite: string }
  | (RosterChange & RosterPlace);

const maxBodyBytes = 2048;
/** So many go in one message. */
export const entriesAMessage = 256;

/** The first entry of a fleet: its signer is the root that hosts and users trust. */
export function rootEntry(name: string, key: SigningKey): RosterEntry {
  return signEntry({ type: 'root', name, key: key.publicKey }, key);
}

/** Whoever has a token makes a user of a key. */
export function joinEntry(name: string, publicKey: string, token: SigningKey): RosterEntry {
  return signEntry({ type: 'join', name, key: publicKey, invite: token.publicKey }, token);
}

/** An admin's; `end` is where the roster stands. */
export function changeEntry(
  change: RosterChange,
  end: { readonly count: number; readonly head: string },
  key: SigningKey,
): RosterEntry {
  return signEntry({ ...change, seq: end.count + 1, previous: end.head, by: key.publicKey }, key);
}

function signEntry(body: RosterBody, key: SigningKey): RosterEntry {
  const text = JSON.stringify(body);
  return { body: text, signature: signText(key, rosterText(text)).toString('base64') };
}

/** Undefined for what is no body of an entry. */
export function parseBody(text: string): RosterBody | undefined {
  if (Buffer.byteLength(text) > maxBodyBytes || text.includes('\n')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && isBody(value) ? (value as unknown as RosterBody) : undefined;
  } catch {
    return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isBody(body: Fields): boolean {
  switch (body['type']) {
    case 'root':
      return has(body, { name: isName, key: isKey });
    case 'join':
      return has(body, { name: isName, key: isKey, invite: isKey });
    case 'invite':
      return has(body, {
        key: isKey,
        user: (user) => user === '' || isName(user),
        role: isRole,
        uses: isCount,
        until: isCount,
        ...place,
      });
    case 'withdraw':
      return has(body, { key: isKey, ...place });
    case 'role':
      return has(body, { name: isName, role: isRole, ...place });
    case 'remove':
      return has(body, { name: isName, ...place });
    default:
      return false;
  }
}

type Tests = Readonly<Record<string, (value: unknown) => boolean>>;

/** Those fields and no other. */
function has(body: Fields, tests: Tests): boolean {
  const names = Object.keys(tests);
  return (
    Object.keys(body).length === names.length + 1 && names.every((name) => tests[name]?.(body[name]) === true)
  );
}

const isRole = (value: unknown): boolean => typeof value === 'string' && isRoleName(value);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) > 0;
const isName = (value: unknown): boolean => typeof value === 'string' && isUserName(value);
/** 44 bytes of DER. */
const isKey = (value: unknown): boolean => typeof value === 'string' && /^[A-Za-z0-9+/]{59}=$/.test(value);
const isHash = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const place: Tests = { seq: isCount, previous: isHash, by: isKey };
