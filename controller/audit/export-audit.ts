import { chainStart, type ChainEnd } from '../../common/audit/chain.ts';
import type { SignedMark } from '../../common/audit/signed-head.ts';
import { headType } from '../../common/audit/verify-chain.ts';
import { KomposeError } from '../../common/errors.ts';
import type { Store } from '../store/store.ts';
import { auditRange, timeOfRecord } from './audit-queries.ts';
import type { AuditNotary } from './audit-notary.ts';
import { loadMark } from './chain-rows.ts';

/** Milliseconds since 1970; 0 means no bound. */
export interface ExportedTime {
  readonly sinceMs: number;
  readonly untilMs: number;
}

const chunkBytes = 64 * 1024;

/**
 * The lines of an export, in pieces of about 64 KiB: the records in order, then one last line, the head signed over
 * them. It bears the signed stub too where earlier records were pruned, and all changes of the key that signs. A part of the audit is a row of records without
 * a gap, and its head counts them: what is missing of it shows. Throws `not-found` for a time without records.
 */
export async function* exportAudit(
  store: Store,
  notary: AuditNotary,
  time: ExportedTime,
): AsyncGenerator<string> {
  const head = await notary.head();
  const stub = await loadMark(store.db, 'stub');
  const { after, signed } = await part(store, notary, time, head, stub ?? chainStart);
  let piece = '';
  for await (const { json } of auditRange(store, after, signed.seq)) {
    piece += `${json}\n`;
    if (piece.length < chunkBytes) continue;
    yield piece;
    piece = '';
  }
  const { keyChanges: keys } = notary;
  const more = { ...(stub === undefined ? {} : { stub }), ...(keys.length === 0 ? {} : { keys }) };
  const last = { type: headType, ...signed, ...more };
  yield `${piece}${JSON.stringify(last)}\n`;
}

/** The records asked for begin after `after`; `signed` stands over them. */
async function part(
  store: Store,
  notary: AuditNotary,
  { sinceMs, untilMs }: ExportedTime,
  head: SignedMark,
  before: ChainEnd,
): Promise<{ after: number; signed: SignedMark }> {
  if (sinceMs === 0 && untilMs === 0) return { after: before.seq, signed: head };
  const first = sinceMs === 0 ? undefined : await edge(store, 'asc', sinceMs);
  const last = untilMs === 0 ? undefined : await edge(store, 'desc', untilMs);
  const after = sinceMs === 0 ? before.seq : (first?.seq ?? head.seq + 1) - 1;
  const end = untilMs === 0 ? head : (last ?? before);
  if (end.seq <= after) throw new KomposeError('not-found', 'there is no record in that time');
  return { after, signed: notary.mark('head', end, end.seq - after) };
}

/** The first record from a time on, or the last up to it. */
async function edge(store: Store, order: 'asc' | 'desc', timeMs: number): Promise<ChainEnd | undefined> {
  const time = new Date(timeMs).toISOString();
  return store.db
    .selectFrom('audit')
    .select(['seq', 'hash'])
    .where(timeOfRecord, order === 'asc' ? '>=' : '<=', time)
    .orderBy('seq', order)
    .limit(1)
    .executeTakeFirst();
}
