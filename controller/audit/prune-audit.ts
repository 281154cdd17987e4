import type { Transaction } from 'kysely';
import { isOfType } from '../store/record-type.ts';
import type { Schema } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Actor } from './audit.ts';
import { record } from './audit.ts';
import type { AuditNotary } from './audit-notary.ts';
import { timeOfRecord } from './audit-queries.ts';
import { chainEnd, saveMark } from './chain-rows.ts';
import { keepScript, type KeptScript } from './kept-scripts.ts';

interface Caller {
  readonly actor: Actor;
  readonly clientAddress: string;
}

interface Pruned {
  readonly removed: number;
  /** The last record that went. */
  readonly upTo: number;
}

/**
 * Removes the records before the first one of `beforeMs` or later. A signed stub stands in for them, from which the chain
 * goes on; a record tells who did it. The texts of hook scripts are recorded anew: records to come may refer to them.
 */
export function pruneAudit(
  store: Store,
  notary: AuditNotary,
  beforeMs: number,
  caller: Caller,
  nowMs: number,
): Promise<Pruned> {
  return store.write(async (transaction) => {
    const last = await lastBefore(transaction, new Date(beforeMs).toISOString());
    const scripts = await scriptsUpTo(transaction, last?.seq ?? 0);
    if (last === undefined) return { removed: 0, upTo: 0 };
    const { numDeletedRows } = await transaction
      .deleteFrom('audit')
      .where('seq', '<=', last.seq)
      .executeTakeFirst();
    await saveMark(transaction, 'stub', await notary.mark(transaction, 'stub', last, last.seq));
    const pruned = { removed: Number(numDeletedRows), upTo: last.seq };
    const detail = { ...pruned, before: new Date(beforeMs).toISOString() };
    await record(transaction, nowMs, { type: 'audit.pruned', ...caller, detail });
    for (const script of scripts) await keepScript(transaction, nowMs, script, caller);
    return pruned;
  });
}

/** The record before the first one that stays; undefined if all stay. */
async function lastBefore(transaction: Transaction<Schema>, time: string) {
  const stays = await transaction
    .selectFrom('audit')
    .select('seq')
    .where(timeOfRecord, '>=', time)
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst();
  const end = stays === undefined ? (await chainEnd(transaction)).seq : stays.seq - 1;
  return transaction.selectFrom('audit').select(['seq', 'hash']).where('seq', '=', end).executeTakeFirst();
}

async function scriptsUpTo(transaction: Transaction<Schema>, seq: number): Promise<KeptScript[]> {
  const rows = await transaction
    .selectFrom('audit')
    .select('record')
    .where(isOfType('hook.kept'))
    .where('seq', '<=', seq)
    .execute();
  return rows.map(({ record: text }) => (JSON.parse(text) as { script: KeptScript }).script);
}
