import { KomposeError } from '../common/errors.ts';
import { changeEntry, entriesAMessage, type RosterChange, type RosterEntry } from '../common/roster/entry.ts';
import { isAdmin, type Roster } from '../common/roster/roster.ts';
import { RosterFile } from '../common/roster/roster-file.ts';
import type { SigningKey } from '../common/signing/signing-key.ts';
import type { SyncRosterRequest, SyncRosterResponse } from '../proto/gen/kompose/v1/fleet.ts';
import type { Fleet } from './client.ts';

/** In a context's folder: the newest roster that this login has seen. */
export const rosterFile = 'roster';

const attempts = 5;
/** Withdrawn with another change, so that no entry of an admin makes a message too large. */
const mostExpired = 50;

/** What a login signs with, and whose signatures it believes. */
export class LoginRoster {
  readonly key: SigningKey;
  readonly root: string;
  readonly #path: string;
  #file: RosterFile | undefined;

  /** `path` is of the file; `root` the fingerprint of the key that the roster must begin with. */
  constructor(path: string, root: string, key: SigningKey) {
    this.#path = path;
    this.root = root;
    this.key = key;
  }

  /**
   * The controller's roster, kept from now on. Throws `denied` where that does not go on from what this login has seen, and
   * `failed` where its file is damaged.
   */
  async sync(fleet: Fleet): Promise<Roster> {
    this.#file ??= RosterFile.open(this.#path, this.root);
    const file = this.#file;
    for (let newer: SyncRosterRequest['newer']; ;) {
      const request = { count: file.current.count, newer };
      const { count, head, part } = await fleet.ask<SyncRosterResponse>((answer) =>
        fleet.client.syncRoster(request, answer),
      );
      if (count === file.current.count) {
        if (head !== file.current.head) throw otherRoster();
        return file.current;
      }
      if (count < file.current.count) {
        if (newer !== undefined && newer.after >= count) throw stuck();
        newer = { after: count, entries: file.current.entries.slice(count, count + entriesAMessage) };
      } else {
        if (part === undefined || part.entries.length === 0) throw stuck();
        takeInto(file, part.after, part.entries);
      }
    }
  }

  /**
   * Has a change signed by this login's key and brought to the controller by `call`, which gets the entries; none where
   * `changeOf` gives none, or where this login is no admin, which the controller knows best how to say. Invites that
   * nobody has used in time are withdrawn with it. Another admin's change at the same moment is no reason to fail.
   */
  async change<Answer>(
    fleet: Fleet,
    changeOf: (roster: Roster) => RosterChange | undefined,
    call: (entries: RosterEntry[]) => Promise<Answer>,
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const roster = await this.sync(fleet);
      try {
        return await call(this.#sign(roster, changeOf(roster)));
      } catch (error) {
        const isMoved = attempt < attempts && (await this.sync(fleet)).head !== roster.head;
        if (!isMoved) throw error;
      }
    }
  }

  #sign(roster: Roster, change: RosterChange | undefined): RosterEntry[] {
    const self = roster.userOfKey(this.key.publicKey);
    if (change === undefined || self === undefined || !isAdmin(self)) return [];
    const entries: RosterEntry[] = [];
    let next = roster;
    const expired = roster.invites.filter(({ until }) => until < Date.now()).slice(0, mostExpired);
    const withdrawn = expired
      .filter(({ key }) => change.type !== 'withdraw' || change.key !== key)
      .map(({ key }) => ({ type: 'withdraw', key }) as const);
    for (const each of withdrawn) {
      const entry = changeEntry(each, next, this.key);
      next = next.extend([entry]);
      entries.push(entry);
    }
    return [...entries, changeEntry(change, next, this.key)];
  }
}

function takeInto(file: RosterFile, after: number, entries: readonly RosterEntry[]): void {
  try {
    file.take(after, entries);
  } catch (error) {
    throw otherRoster(error);
  }
}

function otherRoster(cause?: unknown): KomposeError {
  const why = cause === undefined ? '' : `${KomposeError.from(cause).message}; `;
  const message = `the controller's roster does not go on from the one that this login has seen: ${why}if an admin says that it began anew, log in anew`;
  return new KomposeError('denied', message, { cause });
}

function stuck(): KomposeError {
  const message = 'the controller does not take or give the roster as this login has seen it: see its log';
  return new KomposeError('denied', message);
}
