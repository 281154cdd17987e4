import { sql } from 'kysely';
import { recordLine } from '../../common/audit/chain.ts';
import { auditTest, type AuditFilter } from './audit-filter.ts';
import { chainEnd } from './chain-rows.ts';
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

/**
 * The newest `limit` records (0: all) that pass the filter, oldest first, read in pages so that memory stays bounded.
 * Throws `usage` for a bad filter.
 */
export async function* listAudit(
  store: Store,
  limit: number,
  filter: AuditFilter | undefined,
): AsyncGenerator<AuditRow> {
  const test = filter === undefined ? undefined : auditTest(filter);
  const { seq: last } = await chainEnd(store.db);
  const after = limit === 0 ? 0 : await beforeNewest(store, limit, test);
  for await (const row of auditRange(store, after, last)) if (test?.(row.json) !== false) yield row;
}

/** The number before that of the first of the newest `limit` records that pass. */
async function beforeNewest(
  store: Store,
  limit: number,
  test: ((record: string) => boolean) | undefined,
): Promise<number> {
  let left = limit;
  for (let before = Number.MAX_SAFE_INTEGER; ;) {
    const page: AuditTable[] = await store.db
      .selectFrom('audit')
      .selectAll()
      .where('seq', '<', before)
      .orderBy('seq', 'desc')
      .limit(rowsAtATime)
      .execute();
    for (const { seq, record } of page) {
      if (test?.(record) !== false) left--;
      if (left === 0) return seq - 1;
      before = seq;
    }
    if (page.length === 0) return 0;
  }
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
