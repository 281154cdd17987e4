import type { Kysely } from 'kysely';
import { chainStart, hashRecord, type ChainEnd } from '../../common/audit/chain.ts';
import { parseMark, type MarkKind, type SignedMark } from '../../common/audit/signed-head.ts';
import type { Schema } from '../store/schema.ts';

/** The chain as it stands in the tables; each takes the database or a transaction. */
type Db = Pick<Kysely<Schema>, 'selectFrom' | 'insertInto' | 'deleteFrom'>;

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
export async function saveMark(db: Db, kind: MarkKind, mark: SignedMark): Promise<void> {
  const text = JSON.stringify(mark);
  await db
    .insertInto('audit_marks')
    .values({ kind, mark: text })
    .onConflict((conflict) => conflict.column('kind').doUpdateSet({ mark: text }))
    .execute();
}
