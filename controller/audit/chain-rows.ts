import type { Kysely } from 'kysely';
import { chainStart, hashRecord, type ChainEnd } from '../../common/audit/chain.ts';
import { parseKeyChanges, type KeyChange } from '../../common/audit/key-change.ts';
import { parseMark, type MarkKind, type SignedMark } from '../../common/audit/signed-head.ts';
import { KomposeError } from '../../common/errors.ts';
import type { Schema } from '../store/schema.ts';

/** The chain as it stands in the tables; each takes the database or a transaction. */
export type Db = Pick<Kysely<Schema>, 'selectFrom' | 'insertInto' | 'deleteFrom'>;

/** What the next record follows. */
export async function chainEnd(db: Db): Promise<ChainEnd> {
  const last = await db
    .selectFrom('audit')
    .select(['seq', 'hash'])
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last ?? (await loadMark(db, 'stub')) ?? chainStart;
}

/** Of the record's bytes as they are now; undefined if there is none of that number. */
export async function hashAt(db: Db, seq: number): Promise<string | undefined> {
  const row = await db.selectFrom('audit').select('record').where('seq', '=', seq).executeTakeFirst();
  return row === undefined ? undefined : hashRecord(row.record);
}

export async function loadMark(db: Db, kind: MarkKind): Promise<SignedMark | undefined> {
  const row = await db.selectFrom('audit_marks').select('mark').where('kind', '=', kind).executeTakeFirst();
  return row === undefined ? undefined : parseMark(JSON.parse(row.mark));
}

/** In place of the one of its kind. */
export function saveMark(db: Db, kind: MarkKind, mark: SignedMark): Promise<void> {
  return save(db, kind, mark);
}

/** All changes of the key that signs, oldest first: pruning does not remove them. Throws `failed` if they are damaged. */
export async function loadKeyChanges(db: Db): Promise<KeyChange[]> {
  const row = await db.selectFrom('audit_marks').select('mark').where('kind', '=', 'keys').executeTakeFirst();
  const changes = row === undefined ? [] : parseKeyChanges(JSON.parse(row.mark));
  if (changes === undefined) {
    const message = 'what the store holds of changes of the audit key was changed: restore a backup';
    throw new KomposeError('failed', message);
  }
  return changes;
}

export function saveKeyChanges(db: Db, changes: readonly KeyChange[]): Promise<void> {
  return save(db, 'keys', changes);
}

async function save(db: Db, kind: MarkKind | 'keys', value: unknown): Promise<void> {
  const text = JSON.stringify(value);
  await db
    .insertInto('audit_marks')
    .values({ kind, mark: text })
    .onConflict((conflict) => conflict.column('kind').doUpdateSet({ mark: text }))
    .execute();
}
