import { sql } from 'kysely';
import { recordLine } from '../../common/audit/chain.ts';
import type { HookRecord } from './audit.ts';
import { findScript, type KeptScript } from './kept-scripts.ts';
import { KomposeError } from '../../common/errors.ts';
import type { AuditTable } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

export interface AuditRow {
  readonly seq: number;
  /** One JSON object, `seq` first and `hash` last. */
  readonly json: string;
}

/** RFC 3339 in UTC with milliseconds, always: its order is that of the text. */
export const timeOfRecord = sql<string>`record ->> 'time'`;

/** One record. Throws `not-found`. */
export async function findAudit(store: Store, seq: number): Promise<AuditRow> {
  const row = await store.db.selectFrom('audit').selectAll().where('seq', '=', seq).executeTakeFirst();
  if (row === undefined) throw new KomposeError('not-found', `there is no record ${seq}: kompose audit ls`);
  return toRow(row);
}

/** The text of the hooks.sh that a record tells of. Throws `not-found`. */
export async function scriptOf(store: Store, { seq, json }: AuditRow): Promise<string> {
  const { hook, script } = JSON.parse(json) as { hook?: HookRecord; script?: KeptScript };
  const text = script?.text ?? (await findScript(store.db, hook?.textSha256 ?? ''));
  if (text !== undefined) return text;
  throw new KomposeError('not-found', `no hook script is kept for record ${seq}: kompose audit show ${seq}`);
}

function toRow(row: AuditTable): AuditRow {
  return { seq: row.seq, json: recordLine(row) };
}

/** The newest `limit` records (0: all), oldest first, read in pages so that memory stays bounded. */
export async function* listAudit(store: Store, limit: number): AsyncGenerator<AuditRow> {
  const newest = await store.db
    .selectFrom('audit')
    .select(({ fn }) => [fn.max('seq').as('seq')])
    .executeTakeFirst();
  const last = newest?.seq ?? 0;
  yield* auditRange(store, limit > 0 ? last - limit : 0, last);
}

const rowsAtATime = 500;

/** The records after `after` up to and with `last`. */
export async function* auditRange(store: Store, after: number, last: number): AsyncGenerator<AuditRow> {
  for (let from: number | undefined = after; from !== undefined;) {
    const page: AuditTable[] = await store.db
      .selectFrom('audit')
      .selectAll()
      .where('seq', '>', from)
      .where('seq', '<=', last)
      .orderBy('seq')
      .limit(rowsAtATime)
      .execute();
    yield* page.map(toRow);
    from = page.at(-1)?.seq;
  }
}
