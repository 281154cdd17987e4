import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Kysely, sql, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { chainStart, hashRecord } from '../../../common/audit/chain.ts';
import { record } from '../../../controller/audit/audit.ts';
import { migrations } from '../../../controller/store/migrations.ts';
import { isOfType } from '../../../controller/store/record-type.ts';
import { openSqlite } from '../../../controller/store/sqlite-database.ts';
import { Store } from '../../../controller/store/store.ts';

const actor = { name: 'ada', role: 'admin', certificate: '' };

async function databaseFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-chain-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'kompose.db');
}

/** Numbers of the records, once each is seen to follow the one before. */
async function chained(store: Store): Promise<number[]> {
  const rows = await store.db.selectFrom('audit').selectAll().orderBy('seq').execute();
  let previous = chainStart.hash;
  for (const { seq, record: text, hash } of rows) {
    assert.partialDeepStrictEqual(JSON.parse(text), { seq, previous });
    assert.equal(hashRecord(text), hash);
    previous = hash;
  }
  return rows.map(({ seq }) => seq);
}

test('records from before there was a chain are chained, and those to come after them', async (t) => {
  const path = await databaseFile(t);
  const old = new Kysely<{ audit: { record: string } }>({
    dialect: new SqliteDialect({ database: openSqlite(path) }),
  });
  const known = Object.entries(migrations).filter(([name]) => name < '0003');
  const provider = { getMigrations: async () => Object.fromEntries(known) };
  const { error } = await new Migrator({ db: old, provider }).migrateToLatest();
  assert.equal(error, undefined);
  const rows = Array.from({ length: 1203 }, (_, at) => ({ record: `{"type":"user.login","n":${at}}` }));
  await old.insertInto('audit').values(rows).execute();
  await old.destroy();

  const store = await Store.open(path);
  t.after(() => store.close());
  await store.write((transaction) => record(transaction, 0, { type: 'user.login', actor }));
  assert.deepEqual(
    await chained(store),
    Array.from({ length: 1204 }, (_, at) => at + 1),
  );
  const [middle] = await store.db.selectFrom('audit').selectAll().where('seq', '=', 700).execute();
  assert.partialDeepStrictEqual(JSON.parse(middle?.record ?? ''), { seq: 700, type: 'user.login', n: 699 });
});

test('records that are written at once, some of them refused, are one chain without a gap', async (t) => {
  const store = await Store.open(await databaseFile(t));
  t.after(() => store.close());
  const writes = Array.from({ length: 200 }, (_, at) =>
    store.write(async (transaction) => {
      await record(transaction, 0, { type: 'user.login', actor });
      await record(transaction, 0, { type: 'user.removed', actor });
      if (at % 20 === 7) throw new Error('refused');
    }),
  );
  const outcomes = await Promise.allSettled(writes);
  assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, 10);
  assert.equal((await chained(store)).length, 380);
});

test('the few records that are looked up by their type are in an index, whatever others say', async (t) => {
  const store = await Store.open(await databaseFile(t));
  t.after(() => store.close());
  const reason = '"type":"hook.kept"';
  await store.write(async (transaction) => {
    await record(transaction, 0, { type: 'user.login', actor: { ...actor, name: reason }, reason });
    await record(transaction, 0, { type: 'hook.kept', actor });
    await record(transaction, 0, { type: 'audit.contradicted', actor });
  });
  for (const [type, index, seq] of [
    ['hook.kept', 'audit_scripts', 2],
    ['audit.contradicted', 'audit_contradictions', 3],
  ] as const) {
    const query = sql<{ seq: number }>`select seq from audit where ${isOfType(type)}`;
    const { rows } = await query.execute(store.db);
    assert.deepEqual(
      rows.map((row) => row.seq),
      [seq],
    );
    const { rows: plan } = await sql<{ detail: string }>`explain query plan ${query}`.execute(store.db);
    assert.match(plan.map(({ detail }) => detail).join(), new RegExp(`USING (COVERING )?INDEX ${index}`));
  }
});
