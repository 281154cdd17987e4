import { sql, type Kysely } from 'kysely';
import { chainStart, hashRecord, recordText, type ChainEnd } from '../../common/audit/chain.ts';

interface OldAudit {
  readonly seq: number;
  readonly record: string;
}

interface Tables {
  audit: { seq: number; record: string; hash: string };
  old_audit: OldAudit;
}

const rowsAtATime = 500;

/** Chains the records that are there, in their order, and makes room for the chain's signed marks. */
export async function chainAudit(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('audit').renameTo('old_audit').execute();
  await db.schema
    .createTable('audit')
    .addColumn('seq', 'integer', (column) => column.primaryKey())
    .addColumn('record', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .execute();
  await copy(db);
  await db.schema.dropTable('old_audit').execute();
  await sql`create index audit_contradictions on audit (seq) where record ->> 'type' = 'audit.contradicted'`.execute(
    db,
  );
  await sql`create index audit_scripts on audit (record ->> '$.script.textSha256') where record ->> 'type' = 'hook.kept'`.execute(
    db,
  );
  await db.schema
    .createTable('audit_marks')
    .addColumn('kind', 'text', (column) => column.primaryKey())
    .addColumn('mark', 'text', (column) => column.notNull())
    .execute();
  await db.schema.alterTable('runs').addColumn('caller', 'text').execute();
}

async function copy(db: Kysely<Tables>): Promise<void> {
  let end: ChainEnd = chainStart;
  for (let after = 0; ;) {
    const page = await oldRecords(db, after);
    const rows = page.map(({ record }) => {
      const text = recordText(end, JSON.parse(record) as object);
      end = { seq: end.seq + 1, hash: hashRecord(text) };
      return { ...end, record: text };
    });
    if (rows.length === 0) return;
    await db.insertInto('audit').values(rows).execute();
    after = page.at(-1)?.seq ?? after;
  }
}

function oldRecords(db: Kysely<Tables>, after: number): Promise<OldAudit[]> {
  return db
    .selectFrom('old_audit')
    .selectAll()
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(rowsAtATime)
    .execute();
}
