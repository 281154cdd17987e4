import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { sql } from 'kysely';
import { pino } from 'pino';
import { chainStart } from '../../../common/audit/chain.ts';
import { record } from '../../../controller/audit/audit.ts';
import { createAuditKey, parseAuditKey } from '../../../controller/audit/audit-key.ts';
import { AuditNotary } from '../../../controller/audit/audit-notary.ts';
import { Store, type Write } from '../../../controller/store/store.ts';

const actor = { name: 'ada', role: 'admin', certificate: '' };

async function open(t: TestContext): Promise<{ store: Store; notary: AuditNotary }> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-seal-'));
  t.after(() => rm(folder, { recursive: true }));
  const store = await Store.open(join(folder, 'kompose.db'));
  const key = parseAuditKey(createAuditKey());
  const log = pino({ level: 'silent' });
  const deps = { store, key, findKey: async () => key, clock: Date.now, log, windowMs: 60_000 };
  const notary = await AuditNotary.open({ ...deps, mostRecords: 10 });
  t.after(async () => {
    await notary.close();
    await store.close();
  });
  return { store, notary };
}

const login =
  (host: string): Write<void> =>
  (transaction) =>
    record(transaction, 0, { type: 'user.login', actor, host });

/** The hosts of all records that have one, once each record is seen to follow the one before. */
async function chainedHosts(store: Store): Promise<string[]> {
  const rows = await store.db.selectFrom('audit').selectAll().orderBy('seq').execute();
  let previous = chainStart.hash;
  const found = rows.map(({ seq, record: text, hash }, at) => {
    const { host, ...links } = JSON.parse(text) as {
      host?: string;
      seq: number;
      previous: string;
    };
    assert.partialDeepStrictEqual({ row: seq, ...links }, { row: at + 1, seq: at + 1, previous });
    previous = hash;
    return host;
  });
  return found.filter((host) => host !== undefined);
}

test('what is sealed is recorded, and the head stands over it', async (t) => {
  const { store, notary } = await open(t);
  const head = await notary.seal(login('a'));
  assert.equal(notary.newest, head);
  const newest = await store.db.selectFrom('audit').selectAll().orderBy('seq', 'desc').executeTakeFirst();
  assert.partialDeepStrictEqual(head, { seq: newest?.seq, hash: newest?.hash });
  assert.deepEqual(await chainedHosts(store), ['a']);
});

test('where the head cannot be signed all is recorded once all the same, and what is written beside it', async (t) => {
  const { store, notary } = await open(t);
  // As SQLite does where the disk is full: nothing of the transaction is left, and it is over.
  await sql`create trigger full_disk before insert on audit_marks
    begin select raise(rollback, 'database or disk is full'); end`.execute(store.db);
  const [head] = await Promise.all([
    notary.seal(login('a')),
    store.write(login('b')),
    store.write(login('c')),
  ]);
  assert.equal(head, undefined);
  assert.deepEqual((await chainedHosts(store)).toSorted(), ['a', 'b', 'c']);

  await sql`drop trigger full_disk`.execute(store.db);
  assert.equal(await notary.seal(login('d')), notary.newest);
  assert.ok(notary.newest);
  assert.deepEqual((await chainedHosts(store)).toSorted(), ['a', 'b', 'c', 'd']);
});

test('what cannot be recorded is not sealed', async (t) => {
  const { store, notary } = await open(t);
  const failing: Write<void> = async (transaction) => {
    await login('a')(transaction);
    throw new Error('no room');
  };
  await assert.rejects(notary.seal(failing), { code: 'unavailable', message: /no room/ });
  assert.deepEqual(await chainedHosts(store), []);
});
