import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { StubFleet } from '../integration/fleet/stub-fleet.ts';
import { AuditFleet, hooks, sha256 } from './audit-fleet.ts';

let audit: AuditFleet;
let fleet: StubFleet;

before(async () => {
  audit = await AuditFleet.start();
  fleet = audit.stub;
});

after(() => audit.stop());

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
    await fleet.until('it has begun', hasBegun);
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
    const old = await audit.exported();
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
    assert.partialDeepStrictEqual(await audit.verify(), { code: 0, first: old.length });
    const pruned = await audit.exported();
    assert.partialDeepStrictEqual(await audit.verifyLines(pruned), { code: 0, whole: true });
    assert.partialDeepStrictEqual(await audit.verifyLines(old), { code: 0, whole: true });
    const forged = pruned.map((line) => line.replace(/"count":\d+,"key"/, '"count":1,"key"'));
    assert.equal((await audit.verifyLines(forged)).code, 1);
    const viewer = await fleet.run('vera', ['audit', 'prune', '--older-than', '0s']);
    assert.equal(viewer.code, 5);
    assert.equal((await fleet.kompose('audit', 'prune')).code, 2);
  });
});
