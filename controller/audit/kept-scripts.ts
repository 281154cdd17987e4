import { sql, type Kysely, type Transaction } from 'kysely';
import { hashRecord } from '../../common/audit/chain.ts';
import { isOfType } from '../store/record-type.ts';
import type { Schema } from '../store/schema.ts';
import { record, type AuditEntry } from './audit.ts';

/** A hooks.sh that ran: the digest of the file, and its masked text with the digest of that. */
export interface KeptScript {
  /** Lower-case hex, of the file as it ran. */
  readonly sha256: string;
  /** Lower-case hex, of the text as kept. */
  readonly textSha256: string;
  readonly text: string;
}

/** Records a script, once; a text that is not of its digest is dropped. */
export async function keepScript(
  transaction: Transaction<Schema>,
  timeMs: number,
  script: KeptScript,
  about: Omit<AuditEntry, 'type' | 'script'>,
): Promise<void> {
  if (hashRecord(script.text) !== script.textSha256) return;
  const known = await scriptRecords(transaction, script.textSha256).select('seq').executeTakeFirst();
  if (known === undefined) await record(transaction, timeMs, { type: 'hook.kept', ...about, script });
}

/** The text of that digest; undefined if it is not kept. */
export async function findScript(
  db: Pick<Kysely<Schema>, 'selectFrom'>,
  textSha256: string,
): Promise<string | undefined> {
  const row = await scriptRecords(db, textSha256).select('record').executeTakeFirst();
  const { script } = JSON.parse(row?.record ?? '{}') as { script?: KeptScript };
  return script?.text;
}

/** As the index of the table has it. */
function scriptRecords(db: Pick<Kysely<Schema>, 'selectFrom'>, textSha256: string) {
  return db
    .selectFrom('audit')
    .where(isOfType('hook.kept'))
    .where(sql<string>`record ->> '$.script.textSha256'`, '=', textSha256);
}
