import { chainStart, type ChainEnd } from '../../common/audit/chain.ts';
import type { KeyChange } from '../../common/audit/key-change.ts';
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
 * them. It bears the signed stub too where earlier records were pruned, and all changes of the key that signs. A part of
 * the audit is a row of records without a gap, and its head counts them: what is missing of it shows. Throws `not-found` for a time
 * without records.
 */
export async function* exportAudit(
  store: Store,
  notary: AuditNotary,
  time: ExportedTime,
): AsyncGenerator<string> {
  const head = await notary.head();
  // Those that lead to the key that has signed it: it may be changed while the records are read.
  const { keyChanges } = notary;
  const stub = await loadMark(store.db, 'stub');
  const whole = { signed: head, keys: keyChanges };
  const { after, signed, keys } = await part(store, notary, time, whole, stub ?? chainStart);
  let piece = '';
  for await (const { json } of auditRange(store, after, signed.seq)) {
    piece += `${json}\n`;
    if (piece.length < chunkBytes) continue;
    yield piece;
    piece = '';
  }
  const more = { ...(stub === undefined ? {} : { stub }), ...(keys.length === 0 ? {} : { keys }) };
  const last = { type: headType, ...signed, ...more };
  yield `${piece}${JSON.stringify(last)}\n`;
}

/** What stands over records, and the changes of the key that lead to the one of it. */
interface Signed {
  readonly signed: SignedMark;
  readonly keys: readonly KeyChange[];
}

/** The records asked for begin after `after`; `signed` stands over them. */
async function part(
  store: Store,
  notary: AuditNotary,
  { sinceMs, untilMs }: ExportedTime,
  whole: Signed,
  before: ChainEnd,
): Promise<Signed & { readonly after: number }> {
  if (sinceMs === 0 && untilMs === 0) return { after: before.seq, ...whole };
  const { signed: head } = whole;
  const first = sinceMs === 0 ? undefined : await edge(store, 'asc', sinceMs);
  const last = untilMs === 0 ? undefined : await edge(store, 'desc', untilMs);
  const after = sinceMs === 0 ? before.seq : (first?.seq ?? head.seq + 1) - 1;
  const end = untilMs === 0 ? head : (last ?? before);
  if (end.seq <= after) throw new KomposeError('not-found', 'there is no record in that time');
  const signed = await notary.mark(store.db, 'head', end, end.seq - after);
  return { after, signed, keys: notary.keyChanges };
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
