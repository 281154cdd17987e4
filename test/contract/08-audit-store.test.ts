import assert from 'node:assert/strict';
import { chmod, cp, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import type { StubFleet } from '../integration/fleet/stub-fleet.ts';
import { AuditFleet, sha256, type Verdict } from './audit-fleet.ts';

let audit: AuditFleet;
let fleet: StubFleet;

before(async () => {
  audit = await AuditFleet.start();
  fleet = audit.stub;
});

after(() => audit.stop());

describe('the store behind the controller’s back', () => {
  const database = (): string => join(fleet.home('controller'), 'controller', 'kompose.db');
  const admin = (): string => join(fleet.home('admin'), 'user');

  /** Runs `attack` on the stopped controller's store, verifies, and puts store and login back. */
  async function attacked(attack: (db: DatabaseSync) => void): Promise<Verdict> {
    await audit.verify();
    await fleet.stopController();
    const kept = await mkdtemp(join(audit.scratch, 'kept-'));
    const state = join(fleet.home('controller'), 'controller');
    await cp(state, join(kept, 'controller'), { recursive: true });
    await cp(admin(), join(kept, 'user'), { recursive: true });
    const db = new DatabaseSync(database());
    attack(db);
    db.close();
    await fleet.startController();
    const verdict = await audit.verify();
    await fleet.stopController();
    await rm(state, { recursive: true });
    await cp(join(kept, 'controller'), state, { recursive: true });
    await rm(admin(), { recursive: true });
    await cp(join(kept, 'user'), admin(), { recursive: true });
    await chmod(state, 0o700);
    await fleet.startController();
    return verdict;
  }

  /** What changes records and hashes all that follow anew, as somebody who has read how would. */
  function rehash(db: DatabaseSync, from: number): void {
    const rows = db.prepare('select seq, record from audit where seq >= ? order by seq').all(from);
    let previous = String(db.prepare('select hash from audit where seq = ?').get(from - 1)?.['hash']);
    for (const { seq, record } of rows) {
      const text = JSON.stringify({ ...(JSON.parse(String(record)) as object), previous });
      previous = sha256(text);
      db.prepare('update audit set record = ?, hash = ? where seq = ?').run(text, previous, Number(seq));
    }
  }

  const attacks: readonly [what: string, seq: number | undefined, attack: (db: DatabaseSync) => void][] = [
    [
      'a record was changed',
      3,
      (db) => db.exec(`update audit set record = replace(record, 'admin', 'nobody') where seq = 3`),
    ],
    ['a record was dropped', 3, (db) => db.exec('delete from audit where seq = 3')],
    [
      'two records changed places',
      3,
      (db) => {
        db.exec('update audit set seq = -3 where seq = 3');
        db.exec('update audit set seq = 3 where seq = 4');
        db.exec('update audit set seq = 4 where seq = -3');
      },
    ],
    ['the beginning was removed', 1, (db) => db.exec('delete from audit where seq < 4')],
    [
      'a hook script was swapped',
      undefined,
      (db) => db.exec(`update audit set record = replace(record, 'hook at work', 'nothing bad')`),
    ],
    [
      'the tail was cut off',
      6,
      (db) => {
        db.exec('delete from audit where seq > 5');
      },
    ],
    [
      'the tail was cut off, and the signed head with it',
      undefined,
      (db) => {
        db.exec('delete from audit where seq > 5');
        db.exec('delete from audit_marks');
      },
    ],
    [
      'a record was changed and all that follow hashed anew',
      undefined,
      (db) => {
        db.exec(`update audit set record = replace(record, 'admin', 'nobody') where seq = 3`);
        rehash(db, 3);
      },
    ],
    [
      'a record was changed, all that follow hashed anew, and the signed head removed',
      undefined,
      (db) => {
        db.exec(`update audit set record = replace(record, 'admin', 'nobody') where seq = 3`);
        rehash(db, 3);
        db.exec('delete from audit_marks');
      },
    ],
  ];
  for (const [what, seq, attack] of attacks) {
    test(`1 where ${what}`, async () => {
      const verdict = await attacked(attack);
      assert.deepEqual([verdict.code, verdict.whole], [1, false]);
      if (seq !== undefined) assert.equal(verdict.seq, seq, verdict.problem);
    });
  }

  test('1 where the whole store was rolled back: agents and clients have seen more', async () => {
    await fleet.stopController();
    const old = join(audit.scratch, 'old.db');
    new DatabaseSync(database()).exec(`vacuum into '${old}'`);
    fleet.env['KOMPOSE_HEARTBEAT'] = '1s';
    await fleet.startController();
    await untilHost(({ online }) => online === true);
    await fleet.must('sexy', 'up', '-d');
    // The newest head comes with the answer to a sign of life.
    for (const beat of ['first', 'second']) {
      const earlier = await untilHost(() => true);
      await untilHost(({ heard }) => heard !== earlier.heard, beat);
    }
    await fleet.stopAgent('prod-1', 'SIGTERM');
    await fleet.must('tokens', 'create', '--role', 'agent');
    const { count } = (await fleet.objects('audit', 'verify'))[0] as { count: number };
    await fleet.stopController();
    for (const end of ['', '-wal', '-shm']) await rm(`${database()}${end}`, { force: true });
    await cp(old, database());
    const login = join(audit.scratch, 'login');
    await cp(admin(), login, { recursive: true });
    await fleet.startController();

    const verdict = await audit.verify();
    assert.equal(verdict.code, 1);
    assert.ok((verdict.seq ?? 0) < count);
    await untilContradictions(1);

    // Somebody who has seen nothing of it is told by what the others have seen.
    await rm(join(admin(), 'contexts', 'default', 'audit-head.json'));
    assert.equal((await audit.verify()).code, 1);
    const doctor = await fleet.kompose('doctor');
    assert.match(doctor.stdout, /fail +audit +records that somebody has seen were changed or are gone/);
    assert.equal(doctor.code, 1);

    // The agent has seen another head than the client, and says so on its own.
    await fleet.startAgent('prod-1');
    const told = await untilContradictions(2);
    // A witness may tell of more than one head.
    assert.deepEqual(new Set(told.map(({ actor }) => actor.name)), new Set(['admin', 'prod-1']));
  });

  /** Waits for the controller to see prod-1 so. */
  async function untilHost(isSo: (host: { online: unknown; heard: unknown }) => boolean, what = '') {
    for (const end = Date.now() + 20_000; Date.now() < end;) {
      const [row] = await fleet.objects('hosts', 'show', 'prod-1');
      const host = { online: row?.['online'], heard: row?.['lastSeen'] };
      if (isSo(host)) return host;
    }
    throw new Error(`prod-1 is not as expected after 20 s ${what}`);
  }

  async function untilContradictions(count: number) {
    for (const end = Date.now() + 20_000; Date.now() < end;) {
      const records = (await fleet.objects('audit', 'ls')).filter(
        ({ type }) => type === 'audit.contradicted',
      ) as unknown as { actor: { name: string } }[];
      if (records.length >= count) return records;
    }
    throw new Error(`not ${count} contradictions after 20 s`);
  }
});

describe('what witnesses keep', () => {
  test('is closed to others, and the key is never taken anew', async () => {
    const folder = join(fleet.home('admin'), 'user', 'contexts', 'default');
    const agent = join(fleet.home('prod-1'), 'agent', 'audit-head.json');
    for (const path of [join(folder, 'audit-head.json'), agent])
      assert.equal((await stat(path)).mode & 0o777, 0o600, path);
    const key = (await readFile(join(folder, 'audit-key'), 'utf8')).trim();
    const [me] = await fleet.objects('whoami');
    assert.equal(me?.['auditKey'], key);
  });

  test('an older login learns the key with its next call', async () => {
    const path = join(fleet.home('admin'), 'user', 'contexts', 'default', 'audit-key');
    const key = await readFile(path, 'utf8');
    await rm(path);
    await fleet.must('whoami');
    assert.equal(await readFile(path, 'utf8'), key);
  });
});
