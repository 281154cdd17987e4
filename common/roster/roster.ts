import { createHash } from 'node:crypto';
import { keyFingerprint } from '../audit/signed-head.ts';
import { KomposeError } from '../errors.ts';
import { isSignatureOf } from '../signing/signing-key.ts';
import { rosterText } from '../signing/signed-text.ts';
import { parseBody, type Invite, type RosterBody, type RosterEntry, type RosterPlace } from './entry.ts';

/** Somebody whose signature counts, for what the role allows. */
export interface RosterUser {
  readonly name: string;
  readonly key: string;
  readonly role: string;
}

/** An invite that is still good for something. */
export interface OpenInvite extends Omit<Invite, 'type'> {
  readonly usesLeft: number;
}

/** Of those who sign entries. */
const adminRole = 'admin';

export function isAdmin({ role }: Pick<RosterUser, 'role'>): boolean {
  return role === adminRole;
}

/** No entry yet. */
export const emptyHead = '0'.repeat(64);

/*
 * Whose signatures count: what a chain of entries comes to. It is nobody's word: each entry is signed by a key that was an
 * admin's at that point, or by a token's key that such an admin has invited.
 *
 * INVARIANTS
 * - A roster never changes: `extend` gives another one, or throws and has done nothing.
 * - There is an admin, a user's name stands once, and a key that ever was in it never comes again as another's.
 * - `head` is the SHA-256 over the head before and the entry's body: two rosters with one head are the same.
 */
export class Roster {
  static readonly empty = new Roster([], emptyHead, new Map(), new Map(), new Set());

  readonly entries: readonly RosterEntry[];
  readonly head: string;
  readonly #users: Map<string, RosterUser>;
  readonly #invites: Map<string, OpenInvite>;
  readonly #keys: Set<string>;

  private constructor(
    entries: readonly RosterEntry[],
    head: string,
    users: Map<string, RosterUser>,
    invites: Map<string, OpenInvite>,
    keys: Set<string>,
  ) {
    this.entries = entries;
    this.head = head;
    this.#users = users;
    this.#invites = invites;
    this.#keys = keys;
  }

  get count(): number {
    return this.entries.length;
  }

  /** The fingerprint of the key that began it; undefined of the empty one. */
  get root(): string | undefined {
    const [first] = this.entries;
    const body = first === undefined ? undefined : parseBody(first.body);
    return body?.type === 'root' ? keyFingerprint(body.key) : undefined;
  }

  get users(): readonly RosterUser[] {
    return [...this.#users.values()];
  }

  get invites(): readonly OpenInvite[] {
    return [...this.#invites.values()];
  }

  user(name: string): RosterUser | undefined {
    return this.#users.get(name);
  }

  userOfKey(key: string): RosterUser | undefined {
    return this.users.find((user) => user.key === key);
  }

  invite(key: string): OpenInvite | undefined {
    return this.#invites.get(key);
  }

  /** With these entries behind its own. Throws `denied` for one that does not stand there, naming it. */
  extend(entries: readonly RosterEntry[]): Roster {
    if (entries.length === 0) return this;
    const next = new Draft(this.count, this.head, this.#users, this.#invites, this.#keys);
    for (const entry of entries) next.add(entry);
    return new Roster([...this.entries, ...entries], next.head, next.users, next.invites, next.keys);
  }
}

class Draft {
  head: string;
  readonly users: Map<string, RosterUser>;
  readonly invites: Map<string, OpenInvite>;
  readonly keys: Set<string>;
  #count: number;

  constructor(
    count: number,
    head: string,
    users: ReadonlyMap<string, RosterUser>,
    invites: ReadonlyMap<string, OpenInvite>,
    keys: ReadonlySet<string>,
  ) {
    this.#count = count;
    this.head = head;
    this.users = new Map(users);
    this.invites = new Map(invites);
    this.keys = new Set(keys);
  }

  add({ body: text, signature }: RosterEntry): void {
    const body = parseBody(text) ?? this.#refuse('it is malformed');
    if (!isSignatureOf(this.#signerOf(body), rosterText(text), Buffer.from(signature, 'base64')))
      this.#refuse('its signature is wrong');
    this.#apply(body);
    this.head = createHash('sha256').update(`${this.head}\n${text}`).digest('hex');
    this.#count++;
  }

  /** Whose key must have signed it. */
  #signerOf(body: RosterBody): string {
    if ((body.type === 'root') !== (this.#count === 0))
      this.#refuse('a root is the first entry, and only that');
    if (body.type === 'root') return body.key;
    if (body.type === 'join') return body.invite;
    this.#checkPlace(body);
    return body.by;
  }

  #checkPlace({ seq, previous, by }: RosterPlace): void {
    if (seq !== this.#count + 1 || previous !== this.head) this.#refuse('it was signed for another place');
    const isKnown = [...this.users.values()].some((user) => user.key === by && isAdmin(user));
    if (!isKnown) this.#refuse('its signer is no admin');
  }

  #apply(body: RosterBody): void {
    switch (body.type) {
      case 'root':
        this.#addUser({ name: body.name, key: body.key, role: adminRole });
        return;
      case 'invite':
        this.#addKey(body.key);
        this.invites.set(body.key, { ...inviteOf(body), usesLeft: body.uses });
        return;
      case 'join':
        this.#join(body.name, body.key, body.invite);
        return;
      case 'withdraw':
        if (!this.invites.delete(body.key)) this.#refuse('there is no such invite');
        return;
      case 'role':
        this.users.set(body.name, { ...this.#userNamed(body.name), role: body.role });
        this.#keepAnAdmin();
        return;
      case 'remove':
        this.#userNamed(body.name);
        this.users.delete(body.name);
        this.#keepAnAdmin();
    }
  }

  #join(name: string, key: string, invite: string): void {
    const open = this.invites.get(invite) ?? this.#refuse('nobody invited its signer, or not so often');
    if (open.user !== '' && open.user !== name) this.#refuse(`the invite is for ${open.user}`);
    this.#addUser({ name, key, role: open.role });
    if (open.usesLeft === 1) this.invites.delete(invite);
    else this.invites.set(invite, { ...open, usesLeft: open.usesLeft - 1 });
  }

  #addUser(user: RosterUser): void {
    if (this.users.has(user.name)) this.#refuse(`there is a user ${user.name} already`);
    this.#addKey(user.key);
    this.users.set(user.name, user);
  }

  #addKey(key: string): void {
    if (this.keys.has(key)) this.#refuse('its key was in the roster before');
    this.keys.add(key);
  }

  #userNamed(name: string): RosterUser {
    return this.users.get(name) ?? this.#refuse(`there is no user ${name}`);
  }

  #keepAnAdmin(): void {
    if (![...this.users.values()].some(isAdmin)) this.#refuse('the last admin stays one');
  }

  #refuse(why: string): never {
    throw new KomposeError('denied', `entry ${this.#count + 1} of the roster does not stand: ${why}`);
  }
}

function inviteOf({ key, user, role, uses, until }: Invite): Omit<OpenInvite, 'usesLeft'> {
  return { key, user, role, uses, until };
}
