import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { record } from '../../../controller/audit/audit.ts';
import { Store } from '../../../controller/store/store.ts';

const actor = { name: 'ada', role: 'admin', certificate: '' };

async function databaseFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-soon-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'kompose.db');
}

/** A write of one record, and with it the order in which they were written. */
function login(seen: string[], host: string): Parameters<Store['write']>[0] {
  return (transaction) => {
    seen.push(host);
    return record(transaction, 0, { type: 'user.login', actor, host });
  };
}

async function hosts(store: Store): Promise<unknown[]> {
  const rows = await store.db.selectFrom('audit').select('record').orderBy('seq').execute();
  return rows.map((row) => (JSON.parse(row.record) as { host?: string }).host);
}

test('what nobody waits for is written with the next write, in order', async (t) => {
  const store = await Store.open(await databaseFile(t));
  t.after(() => store.close());
  const seen: string[] = [];
  const soon = [store.writeSoon(login(seen, 'a')), store.writeSoon(login(seen, 'b'))];
  for (let turn = 0; turn < 3; turn++) await nextTurn();
  assert.equal(store.waitingCount, 2);
  await store.write(login(seen, 'c'));
  assert.deepEqual(seen, ['a', 'b', 'c']);
  assert.deepEqual(await hosts(store), ['a', 'b', 'c']);
  await Promise.all(soon);
});

test('what nobody waits for is written all the same where nothing follows', async (t) => {
  const store = await Store.open(await databaseFile(t));
  t.after(() => store.close());
  await store.write(login([], 'a'));
  await store.writeSoon(login([], 'b'));
  assert.deepEqual(await hosts(store), ['a', 'b']);
  await store.writeSoon(login([], 'c'));
  assert.deepEqual(await hosts(store), ['a', 'b', 'c']);
});

test('what nobody waits for is on the disk when the store has closed', async (t) => {
  const path = await databaseFile(t);
  const store = await Store.open(path);
  const soon = store.writeSoon(login([], 'a'));
  await store.close();
  await soon;
  const again = await Store.open(path);
  t.after(() => again.close());
  assert.deepEqual(await hosts(again), ['a']);
});
