import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

/*
 * The audit's rows of section 8, on the real programs; a program in docker's place is enough. Each test leaves the
 * fleet whole: an adversary works on a copy of an export, or on the store of a controller that is put back after.
 */
let fleet: StubFleet;
/** An export of the whole audit, as lines, the signed head last. */
let lines: string[];
let scratch: string;

const hooks = `hook_pre_up() { echo "hook at work"; }\n`;

before(async () => {
  fleet = await StubFleet.start('prod-1');
  scratch = await mkdtemp(join(tmpdir(), 'kompose-audit-'));
  await fleet.writeStack('prod-1', 'sexy', { 'hooks.sh': hooks });
  await fleet.untilKnown('prod-1:sexy');
  await fleet.must('sexy', 'up', '-d');
  lines = await exported();
});

after(async () => {
  await fleet.stop();
  await rm(scratch, { recursive: true });
});

async function exported(...options: string[]): Promise<string[]> {
  const text = await fleet.must('audit', 'export', ...options);
  assert.ok(text.endsWith('\n'));
  return text.slice(0, -1).split('\n');
}

interface Verdict {
  readonly code: number;
  readonly first?: number;
  readonly whole: boolean;
  readonly seq?: number;
  readonly problem?: string;
}

/** `audit verify`, of the live store or with the words given; `home` is whose login counts. */
async function verify(words: readonly string[] = [], home = 'admin'): Promise<Verdict> {
  const { code, stdout, stderr } = await fleet.run(home, ['-o', 'json', 'audit', 'verify', ...words]);
  assert.notEqual(stdout, '', stderr);
  return { code, ...(JSON.parse(stdout) as Omit<Verdict, 'code'>) };
}

async function verifyLines(text: readonly string[], ...options: string[]): Promise<Verdict> {
  const file = join(scratch, 'export.jsonl');
  await writeFile(file, text.map((line) => `${line}\n`).join(''));
  return verify([file, ...options]);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

describe('`kompose audit export`', () => {
  test('JSON lines on stdout: the records in order, then one last line, the signed head over them and their count', () => {
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const head = records.pop();
    assert.deepEqual(
      records.map(({ seq }) => seq),
      records.map((_, index) => index + 1),
    );
    assert.partialDeepStrictEqual(head, { type: 'audit.head', seq: records.length, count: records.length });
    assert.equal(typeof head?.['signature'], 'string');
    assert.ok(records.some(({ type }) => type === 'hook.finished'));
  });

  test('each record holds the hash of the one before, which sha256sum finds', () => {
    const records = lines.slice(0, -1).map((line) => JSON.parse(line) as { previous: string; hash: string });
    let previous = '0'.repeat(64);
    for (const [index, { previous: told, hash }] of records.entries()) {
      assert.equal(told, previous);
      assert.equal(sha256(lines[index]?.replace(/,"hash":"[0-9a-f]{64}"\}$/, '}') ?? ''), hash);
      previous = hash;
    }
    assert.equal((JSON.parse(lines.at(-1) ?? '') as { hash: string }).hash, previous);
  });

  test('of a part (--since, --until) is whole by its own head; of a time without records there is none', async () => {
    const fourth = JSON.parse(lines[3] ?? '') as { time: string };
    const part = await exported('--since', fourth.time);
    assert.ok(part.length < lines.length + 10 && part[0]?.startsWith('{"seq":'));
    assert.partialDeepStrictEqual(await verifyLines(part), { code: 0, whole: true });
    const cut = await verifyLines(part.slice(1));
    assert.equal(cut.seq, (JSON.parse(part[0] ?? '') as { seq: number }).seq);
    assert.equal((await fleet.kompose('audit', 'export', '--until', '2020-01-01')).code, 3);
  });

  test('is for admins', async () => {
    const token = await fleet.must('users', 'add', 'vera', '--role', 'viewer');
    await fleet.run('vera', ['login', token.trim()]);
    for (const verb of ['export', 'verify']) {
      const { code, stdout } = await fleet.run('vera', ['audit', verb]);
      assert.deepEqual([code, stdout], [5, ''], verb);
    }
  });
});

describe('`kompose audit verify [FILE] [--key FINGERPRINT]`: 0 whole', () => {
  test('the live store', async () => {
    const { code, stdout } = await fleet.kompose('audit', 'verify');
    assert.match(stdout, /^whole: \d+ records, 1 to \d+, signed 20\S+Z\n$/);
    assert.equal(code, 0);
  });

  test('an export, also one that is older than the newest head seen, and on stdin', async () => {
    assert.partialDeepStrictEqual(await verifyLines(lines), { code: 0, whole: true });
    const { code } = await fleet.run('admin', ['audit', 'verify', '-'], `${lines.join('\n')}\n`);
    assert.equal(code, 0);
  });

  test('needs no controller, nor a login with --key; trusts no key in the file', async () => {
    const [me] = await fleet.objects('whoami');
    const key = String(me?.['auditKey']);
    const file = join(scratch, 'elsewhere.jsonl');
    await writeFile(file, `${lines.join('\n')}\n`);
    await fleet.stopController();
    try {
      assert.partialDeepStrictEqual(await verify([file]), { code: 0, whole: true });
      assert.partialDeepStrictEqual(await verify([file, '--key', key], 'nobody'), { code: 0, whole: true });
      const wrong = await verify([file, '--key', 'ab'.repeat(32)], 'nobody');
      assert.deepEqual([wrong.code, wrong.whole], [1, false]);
      const none = await fleet.run('nobody', ['audit', 'verify', file]);
      assert.equal(none.code, 5);
      assert.match(none.stderr, /--key FINGERPRINT/);
    } finally {
      await fleet.startController();
    }
  });

  test('a file that is not there is 3, a malformed key 2', async () => {
    assert.equal((await fleet.kompose('audit', 'verify', join(scratch, 'none'))).code, 3);
    assert.equal((await fleet.kompose('audit', 'verify', '--key', 'abc')).code, 2);
  });
});

describe('`kompose audit verify FILE`: 1 names the first bad seq of an export where', () => {
  const at = (index: number): string => lines[index] ?? '';
  const cases: readonly [what: string, seq: () => number, change: () => string[]][] = [
    [
      'a record was changed',
      () => 4,
      () => lines.map((line, index) => (index === 3 ? line.replace(/admin/, 'nobody') : line)),
    ],
    ['a record was dropped', () => 4, () => lines.toSpliced(3, 1)],
    ['two records changed places', () => 4, () => lines.toSpliced(3, 2, at(4), at(3))],
    ['a record was put in twice', () => 4, () => lines.toSpliced(4, 0, at(3))],
    ['the tail was cut off', () => 5, () => [...lines.slice(0, 4), at(lines.length - 1)]],
    ['the beginning was cut off', () => 1, () => lines.slice(2)],
    ['the last line is missing: it is cut off', () => lines.length, () => lines.slice(0, -1)],
    [
      'a hook script was swapped',
      () => lines.findIndex((line) => line.includes('hook at work')) + 1,
      () => lines.map((line) => line.replace('hook at work', 'nothing bad')),
    ],
  ];
  for (const [what, seq, change] of cases) {
    test(what, async () => {
      const text = change();
      assert.notDeepEqual(text, lines);
      const verdict = await verifyLines(text);
      assert.deepEqual([verdict.code, verdict.seq], [1, seq()], verdict.problem);
    });
  }

  test('the records were forged with a key of somebody’s own', async () => {
    const other = await StubFleet.start();
    try {
      const foreign = (await other.must('audit', 'export')).trimEnd().split('\n');
      const { code, problem } = await verifyLines(foreign);
      assert.equal(code, 1);
      assert.match(problem ?? '', /trusted key/);
    } finally {
      await other.stop();
    }
  });
});

describe('the store behind the controller’s back', () => {
  const database = (): string => join(fleet.home('controller'), 'controller', 'kompose.db');
  const admin = (): string => join(fleet.home('admin'), 'user');

  /** Runs `attack` on the stopped controller's store, verifies, and puts store and login back. */
  async function attacked(attack: (db: DatabaseSync) => void): Promise<Verdict> {
    await verify();
    await fleet.stopController();
    const kept = await mkdtemp(join(scratch, 'kept-'));
    const state = join(fleet.home('controller'), 'controller');
    await cp(state, join(kept, 'controller'), { recursive: true });
    await cp(admin(), join(kept, 'user'), { recursive: true });
    const db = new DatabaseSync(database());
    attack(db);
    db.close();
    await fleet.startController();
    const verdict = await verify();
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
    const old = join(scratch, 'old.db');
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
    const login = join(scratch, 'login');
    await cp(admin(), login, { recursive: true });
    await fleet.startController();

    const verdict = await verify();
    assert.equal(verdict.code, 1);
    assert.ok((verdict.seq ?? 0) < count);
    await untilContradictions(1);

    // Somebody who has seen nothing of it is told by what the others have seen.
    await rm(join(admin(), 'contexts', 'default', 'audit-head.json'));
    assert.equal((await verify()).code, 1);
    const doctor = await fleet.kompose('doctor');
    assert.match(doctor.stdout, /fail +audit +records that somebody has seen were changed or are gone/);
    assert.equal(doctor.code, 1);

    // The agent has seen another head than the client, and says so on its own.
    await fleet.startAgent('prod-1');
    const told = await untilContradictions(2);
    assert.deepEqual(told.map(({ actor }) => actor.name).toSorted(), ['admin', 'prod-1']);
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

describe('every hooks.sh that ran', () => {
  test('is kept once, masked; `audit show SEQ --script` prints it', async () => {
    const secret = `hook_post_ps() { API_KEY=abcdefgh; echo "$DB_PASSWORD hunter2222"; }\n`;
    await fleet.writeStack('prod-1', 'news', { 'hooks.sh': secret, '.env': 'DB_PASSWORD=hunter2222\n' });
    await fleet.untilKnown('prod-1:news');
    await fleet.must('news', 'ps');
    await fleet.must('news', 'ps');
    const records = await fleet.objects('audit', 'ls');
    const kept = records.filter(({ type, stack }) => type === 'hook.kept' && stack === 'news');
    const ran = records.filter(({ type, stack }) => type === 'hook.finished' && stack === 'news');
    assert.deepEqual([kept.length, ran.length], [1, 2]);
    const text = secret.replace('abcdefgh', '[redacted]').replace('hunter2222', '[redacted]');
    const script = { sha256: sha256(secret), textSha256: sha256(text) };
    assert.deepEqual(kept[0]?.['script'], { ...script, text });
    for (const { hook } of ran) assert.partialDeepStrictEqual(hook, script);
    for (const { seq } of [...kept, ...ran])
      assert.equal(await fleet.must('audit', 'show', String(seq), '--script'), text);
    assert.equal((await fleet.kompose('audit', 'show', '1', '--script')).code, 3);
  });

  test('is told as it ran, though a hook before it has changed the file', async () => {
    const next = `hook_post_pull() { echo after; }\n`;
    const first = `hook_pre_pull() { printf '%s' "$NEXT" > hooks.sh; }\nhook_post_pull() { echo first; }\n`;
    await fleet.writeStack('prod-1', 'deploy', { 'hooks.sh': first });
    await fleet.untilKnown('prod-1:deploy');
    await fleet.must('-e', `NEXT=${next}`, 'deploy', 'pull');
    const ran = (await fleet.objects('audit', 'ls')).filter(
      ({ type, stack }) => type === 'hook.finished' && stack === 'deploy',
    );
    const digests = ran.map(({ hook }) => (hook as { sha256: string }).sha256);
    assert.deepEqual(digests, [sha256(first), sha256(next)]);
  });

  test('does not go to those who watch the run', async () => {
    await fleet.writeStack('prod-1', 'sexy', { 'hooks.sh': `${hooks}# not for watchers\n` });
    const { stdout } = await fleet.kompose('-o', 'json', 'sexy', 'up', '-d');
    assert.match(stdout, /hook at work/);
    assert.doesNotMatch(stdout, /not for watchers/);
  });
});

describe('`kompose audit ls`', () => {
  const types = async (...words: string[]): Promise<unknown[]> =>
    (await fleet.objects('audit', 'ls', ...words)).map(({ type }) => type);

  test('every listing is complete unless --limit N', async () => {
    const seqs = (await fleet.objects('audit')).map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => index + 1),
    );
    const newest = await fleet.objects('audit', 'ls', '--limit', '2');
    assert.deepEqual(
      newest.map(({ seq }) => seq),
      seqs.slice(-2),
    );
  });

  test('takes what records are about: user, host, stack, command, outcome, type, hook, run, times', async () => {
    const run = (await fleet.objects('runs', 'ls')).at(-1)?.['run'];
    const first = [
      'run.started',
      'hook.kept',
      'hook.finished',
      'action.finished',
      'task.finished',
      'run.finished',
    ];
    assert.deepEqual(await types('--run', String(run).slice(0, 20)), first);
    assert.deepEqual(
      await types('--run', String(run), '--host', 'prod-*', '--stack', 'sexy'),
      first.slice(0, 5),
    );
    assert.deepEqual(await types('--hook', 'hook_pre_up', '--limit', '1'), ['hook.finished']);
    assert.deepEqual(await types('--user', 'prod-1'), ['host.joined']);
    assert.deepEqual(await types('--command', 'up', '--outcome', 'failed'), []);
    assert.deepEqual(await types('--type', 'user.login', '--limit', '1'), ['user.login']);
    assert.deepEqual(await types('--until', '2020-01-01'), []);
    assert.deepEqual(await types('--since', '1h', '--type', 'host.*'), ['host.joined']);
    const { code, stderr } = await fleet.kompose('audit', 'ls', '--since', 'yesterday');
    assert.deepEqual([code, /write it as 500ms/.test(stderr)], [2, true]);
  });

  test('tells of administration alike: joins, logins (failed ones too), tokens, users, labels, refusals, starts', async () => {
    const token = (await fleet.must('tokens', 'create', '--role', 'viewer', '--name', 'eve')).trim();
    await fleet.run('eve', ['login', token]);
    await fleet.run('eve2', ['login', token]);
    await fleet.run('eve', ['audit', 'ls']);
    await fleet.must('hosts', 'label', 'prod-1', 'env=prod');
    const open = (await fleet.must('tokens', 'create', '--role', 'agent')).trim();
    const made = (await fleet.objects('tokens', 'ls')).at(-1);
    await fleet.must('tokens', 'revoke', String(made?.['id']));
    await fleet.run('prod-9', ['agent', 'join', open, '--name', 'prod-9', '--stacks', fleet.folder]);
    await fleet.must('users', 'remove', 'eve');
    const told = new Set(await types());
    for (const type of [
      'token.created',
      'token.revoked',
      'user.login',
      'login.failed',
      'user.removed',
      'host.joined',
      'host.labelled',
      'request.denied',
      'controller.started',
    ])
      assert.ok(told.has(type), type);
    const failed = await fleet.objects('audit', 'ls', '--type', 'login.failed');
    assert.ok(failed.every(({ reason, clientAddress }) => reason !== '' && clientAddress === '127.0.0.1'));
    assert.ok(failed.some(({ actor }) => (actor as { name: string }).name === 'prod-9'));
  });
});

describe('what records hold', () => {
  test('of a run: who, from where, in which role, what, with which variables, where, how it ended', async () => {
    await fleet.kompose('-e', 'TAG=v2', '-H', 'prod-1', 'sexy', 'up', '-d');
    const all = await fleet.objects('audit', 'ls', '--stack', 'sexy', '--command', 'up');
    const last = (type: string): Record<string, unknown> =>
      all.findLast((record) => record['type'] === type) ?? {};
    const { actor } = last('run.started');
    assert.partialDeepStrictEqual(actor, { name: 'admin', role: 'admin' });
    assert.match((actor as { certificate: string }).certificate, /^[0-9a-f]{64}$/);
    const common = { actor, clientAddress: '127.0.0.1', command: 'up', args: ['-d'] };
    const where = { host: 'prod-1', stack: 'sexy', outcome: 'succeeded', agentVersion: '0.1.0' };
    assert.partialDeepStrictEqual(last('run.started'), {
      ...common,
      pattern: 'sexy',
      hosts: ['prod-1'],
      envNames: ['TAG'],
      targets: ['prod-1:sexy'],
      controllerVersion: '0.1.0',
    });
    const { hook } = last('hook.finished') as { hook: Record<string, unknown> };
    assert.partialDeepStrictEqual(last('hook.finished'), { ...common, ...where });
    assert.partialDeepStrictEqual(hook, { name: 'hook_pre_up', exitCode: 0 });
    assert.equal(hook['outputSha256'], sha256('hook at work\n'));
    assert.equal(typeof hook['durationMs'], 'number');
    assert.partialDeepStrictEqual(last('action.finished'), {
      ...common,
      ...where,
      action: { name: 'docker compose up', exitCode: 0, outputSha256: sha256('') },
    });
    assert.partialDeepStrictEqual(last('task.finished'), { ...common, ...where, exitCode: 0 });
  });

  test('of a run that a restarted controller ends: still who began it', async () => {
    await fleet.writeStack('prod-1', 'slow', { 'action.sh': 'until [[ -e go ]]; do sleep 0.1; done\n' });
    await fleet.untilKnown('prod-1:slow');
    const id = (await fleet.must('--detach', 'slow', 'up', '-d')).trim();
    const hasBegun = async (): Promise<boolean> =>
      (await fleet.objects('runs', 'show', id)).some(
        ({ task, state }) => task !== undefined && state === 'running',
      );
    while (!(await hasBegun()));
    await fleet.stopController();
    await fleet.startController();
    await fleet.writeStack('prod-1', 'slow', { go: '' });
    await fleet.must('runs', 'attach', id);
    const [end] = await fleet.objects('audit', 'ls', '--run', id, '--type', 'run.finished');
    assert.partialDeepStrictEqual(end, {
      actor: { name: 'admin', role: 'admin' },
      clientAddress: '127.0.0.1',
    });
  });
});

describe('`kompose audit prune --older-than DURATION`', () => {
  test('removes the oldest, leaves a signed stub and a record; what is left verifies; for admins', async () => {
    const old = await exported();
    await fleet.must('audit', 'prune', '--older-than', '1d');
    const [first] = await fleet.objects('audit', 'ls');
    assert.equal(first?.['seq'], 1, 'nothing is that old');
    await fleet.must('audit', 'prune', '--older-than', '0s');
    const left = await fleet.objects('audit', 'ls');
    assert.equal(left[0]?.['type'], 'audit.pruned');
    assert.equal(left[0]?.['seq'], old.length);
    assert.ok(
      left.some(({ type }) => type === 'hook.kept'),
      'scripts stay',
    );
    assert.partialDeepStrictEqual(await verify(), { code: 0, first: old.length });
    const pruned = await exported();
    assert.partialDeepStrictEqual(await verifyLines(pruned), { code: 0, whole: true });
    assert.partialDeepStrictEqual(await verifyLines(old), { code: 0, whole: true });
    const forged = pruned.map((line) => line.replace(/"count":\d+,"key"/, '"count":1,"key"'));
    assert.equal((await verifyLines(forged)).code, 1);
    const viewer = await fleet.run('vera', ['audit', 'prune', '--older-than', '0s']);
    assert.equal(viewer.code, 5);
    assert.equal((await fleet.kompose('audit', 'prune')).code, 2);
  });
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
