import type { Transaction } from 'kysely';
import { KomposeError } from '../../common/errors.ts';
import type { RosterEntry } from '../../common/roster/entry.ts';
import { Roster } from '../../common/roster/roster.ts';
import { record, type Actor } from '../audit/audit.ts';
import type { Schema } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

/** Who brought entries of the roster. */
export interface RosterBringer {
  readonly actor: Actor;
  readonly clientAddress: string;
}

/** Where the roster stands in a transaction that has added to it. */
const drafts = new WeakMap<Transaction<Schema>, Roster>();

/*
 * The roster as the controller keeps and passes it on. It can look whether entries stand; it cannot make any.
 *
 * INVARIANTS
 * - `current` is what is durable: a change is taken in, and told, right after its transaction.
 * - Each entry is in the audit, in the transaction that stored it.
 */
export class RosterBook {
  readonly #store: Store;
  readonly #clock: () => number;
  #current: Roster;
  #listener: (roster: Roster, after: number) => void = () => undefined;
  #refreshing: Promise<void> = Promise.resolve();

  private constructor(store: Store, clock: () => number, current: Roster) {
    this.#store = store;
    this.#clock = clock;
    this.#current = current;
  }

  static async open(store: Store, clock: () => number): Promise<RosterBook> {
    return new RosterBook(store, clock, Roster.empty.extend(await readEntries(store.db)));
  }

  get current(): Roster {
    return this.#current;
  }

  /** Hears of each roster that has grown, and after how many entries. */
  listen(listener: (roster: Roster, after: number) => void): void {
    this.#listener = listener;
  }

  /** Adds entries in the transaction of what they are about; gives the roster with them. Throws `denied`. */
  async append(
    transaction: Transaction<Schema>,
    entries: readonly RosterEntry[],
    bringer: RosterBringer,
  ): Promise<Roster> {
    const before = await this.#inside(transaction);
    return this.#write(transaction, before, before.extend(entries), bringer);
  }

  /** Begins a roster anew, with this root: nobody's signature counts any more but that of who brings it. */
  async begin(transaction: Transaction<Schema>, root: RosterEntry, bringer: RosterBringer): Promise<Roster> {
    const next = Roster.empty.extend([root]);
    await transaction.deleteFrom('roster').execute();
    return this.#write(transaction, Roster.empty, next, bringer);
  }

  /** Takes in entries, after the first `after`, that somebody has and we lack. Throws `denied`; `conflict` for a hole. */
  async heal(after: number, entries: readonly RosterEntry[], bringer: RosterBringer): Promise<void> {
    await this.#store.write(async (transaction) => {
      const { count } = await this.#inside(transaction);
      if (after > count) throw new KomposeError('conflict', `the roster has ${count} entries, not ${after}`);
      await this.append(transaction, entries.slice(count - after), bringer);
    });
    await this.refresh();
  }

  /** Takes in what transactions have stored; to be called after each of them. */
  refresh(): Promise<void> {
    // In order: of two at once, the one that read less must not come last.
    const refreshed = this.#refreshing.then(() => this.#refresh());
    this.#refreshing = refreshed.catch(() => undefined);
    return refreshed;
  }

  async #refresh(): Promise<void> {
    const entries = await readEntries(this.#store.db);
    const known = this.#current;
    const isContinued = known.entries.every(({ body }, at) => entries[at]?.body === body);
    if (isContinued && entries.length === known.count) return;
    const after = isContinued ? known.count : 0;
    this.#current = (isContinued ? known : Roster.empty).extend(entries.slice(after));
    this.#listener(this.#current, after);
  }

  async #inside(transaction: Transaction<Schema>): Promise<Roster> {
    return drafts.get(transaction) ?? Roster.empty.extend(await readEntries(transaction));
  }

  async #write(
    transaction: Transaction<Schema>,
    before: Roster,
    next: Roster,
    { actor, clientAddress }: RosterBringer,
  ): Promise<Roster> {
    for (const [at, entry] of next.entries.slice(before.count).entries()) {
      const seq = before.count + at + 1;
      await transaction
        .insertInto('roster')
        .values({ seq, ...entry })
        .execute();
      const facts = { type: 'roster.changed', actor, clientAddress, detail: { seq, ...entry } } as const;
      await record(transaction, this.#clock(), facts);
    }
    drafts.set(transaction, next);
    return next;
  }
}

function readEntries(db: Pick<Transaction<Schema>, 'selectFrom'>): Promise<RosterEntry[]> {
  return db.selectFrom('roster').select(['body', 'signature']).orderBy('seq').execute();
}

/** Throws `denied` unless the roster now says what was asked for. */
export function checkRoster(says: boolean, what: string): void {
  if (says) return;
  const way = 'your signing key must be that of an admin of the roster (kompose whoami shows it)';
  throw new KomposeError('denied', `nothing signed was given to ${what}: ${way}`);
}
