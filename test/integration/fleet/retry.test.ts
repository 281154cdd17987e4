import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { StubFleet } from './stub-fleet.ts';

const secret = 'hunter2-and-more';

/** Fails until the stack has the file `mended`; leaves the words and variables of each try in `tries`. */
const action = `echo "$* TAG=$TAG NET=$NETWORK_NAME PW=\${DB_PASSWORD:+given}" >> tries
[[ -e mended ]] || { echo broken; exit 7; }
`;

let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start('prod-1', 'prod-2', 'prod-3');
});

after(() => fleet.stop());

/** Starts a command, which may fail, and gives the id of its run. */
async function runOf(...args: string[]): Promise<string> {
  const [started] = await fleet.objects(...args);
  return String(started?.['run']);
}

async function tries(host: string, stack: string): Promise<string[]> {
  const text = await readFile(join(fleet.stacks(host), stack, 'tries'), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

/** `host:stack` to its end state. */
async function statesOf(run: string): Promise<Record<string, unknown>> {
  const [, ...tasks] = await fleet.objects('runs', 'show', run);
  return Object.fromEntries(
    tasks.map(({ host, stack, state }) => [`${String(host)}:${String(stack)}`, state]),
  );
}

async function lastRun(): Promise<Record<string, unknown>> {
  return (await fleet.objects('runs', 'ls', '--limit', '1'))[0] ?? {};
}

test('runs again exactly what did not succeed, with the same words and options', async () => {
  await fleet.writeStack('prod-1', 'shop', { 'action.sh': action, mended: '' });
  await fleet.writeStack('prod-2', 'shop', { 'action.sh': action });
  await fleet.writeStack('prod-3', 'shop', { 'action.sh': action });
  await fleet.untilKnown('prod-1:shop', 'prod-2:shop', 'prod-3:shop');
  await fleet.stopAgent('prod-3');
  const options = ['-e', 'TAG=v 2', '--network', 'dmz', '--timeout', '1m'];
  const first = await runOf(...options, 'prod-1:shop,prod-2:shop,prod-3:shop', 'up', '-d', 'a b');
  assert.deepEqual(await statesOf(first), {
    'prod-1:shop': 'succeeded',
    'prod-2:shop': 'failed',
    'prod-3:shop': 'unreachable',
  });
  await fleet.writeStack('prod-2', 'shop', { mended: '' });

  const { code, stderr } = await fleet.kompose('runs', 'retry', first);
  assert.equal(code, 4, stderr);
  const second = await lastRun();
  assert.equal(second['retryOf'], first);
  assert.equal(second['pattern'], 'prod-2:shop,prod-3:shop');
  assert.deepEqual(await statesOf(String(second['run'])), {
    'prod-2:shop': 'succeeded',
    'prod-3:shop': 'unreachable',
  });
  const line = 'up -d a b TAG=v 2 NET=dmz PW=';
  assert.deepEqual(await tries('prod-1', 'shop'), [line]);
  assert.deepEqual(await tries('prod-2', 'shop'), [line, line]);

  const audit = await fleet.objects('audit');
  const started = audit.find(({ type, run }) => type === 'run.started' && run === second['run']);
  assert.equal(started?.['retryOf'], first);
  assert.deepEqual(started?.['targets'], ['prod-2:shop', 'prod-3:shop']);
  assert.deepEqual(started?.['envNames'], ['TAG']);

  await fleet.startAgent('prod-3');
  await fleet.writeStack('prod-3', 'shop', { mended: '' });
  assert.equal((await fleet.kompose('runs', 'retry', String(second['run']))).code, 0);
  assert.deepEqual(await statesOf(String((await lastRun())['run'])), { 'prod-3:shop': 'succeeded' });
  assert.deepEqual(await tries('prod-3', 'shop'), [line]);
});

test('says so, and starts nothing, where everything succeeded', async () => {
  const run = await runOf('prod-1:sexy', 'up', '-d');
  const { code, stderr } = await fleet.kompose('runs', 'retry', run);
  assert.equal(code, 0);
  assert.equal(stderr, `run ${run} succeeded everywhere: nothing to do\n`);
  assert.equal((await lastRun())['run'], run);
});

test('does not keep secret values and names them until they are given again', async () => {
  await fleet.writeStack('prod-1', 'bank', { 'action.sh': action });
  const options = ['-e', `DB_PASSWORD=${secret}`, '-e', `URL=pg://u:${secret}@db`, '-e', 'TAG=v3'];
  const run = await runOf(...options, 'prod-1:bank', 'up', '-d');
  const bare = await fleet.kompose('runs', 'retry', run);
  assert.equal(bare.code, 2);
  assert.match(
    bare.stderr,
    /secret values, and what might be some, are not kept: give them again with -e DB_PASSWORD=… -e URL=…/,
  );
  const wrong = await fleet.kompose(
    'runs',
    'retry',
    run,
    '-e',
    'DB_PASSWORD=x',
    '-e',
    'URL=y',
    '-e',
    'TAG=v4',
  );
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /-e TAG is not asked for/);
  assert.equal((await lastRun())['run'], run);

  await fleet.writeStack('prod-1', 'bank', { mended: '' });
  const given = await fleet.kompose('runs', 'retry', run, '-e', `DB_PASSWORD=${secret}`, '-e', 'URL=pg://db');
  assert.equal(given.code, 0, given.stderr);
  const line = 'up -d TAG=v3 NET= PW=given';
  assert.deepEqual(await tries('prod-1', 'bank'), [line, line]);
  for (const file of await readdir(fleet.home('controller'), { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const bytes = await readFile(join(file.parentPath, file.name));
    assert.ok(!bytes.includes(secret), file.name);
  }
});

test('refuses, with the reason, what cannot be repeated', async () => {
  await fleet.writeStack('prod-1', 'odd', { 'action.sh': 'cat >/dev/null; exit 1' });
  const masked = await runOf('prod-1:odd', 'exec', '-e', `DB_PASSWORD=${secret}`, 'web', 'true');
  const hidden = await fleet.kompose('runs', 'retry', masked);
  assert.equal(hidden.code, 2);
  assert.match(
    hidden.stderr,
    /cannot be repeated: its argument 2, "DB_PASSWORD=\[redacted\]", is not kept whole/,
  );

  await fleet.run('admin', ['prod-1:odd', 'exec', '-T', 'web', 'cat'], 'some bytes');
  const run = String((await lastRun())['run']);
  const { code, stderr } = await fleet.kompose('runs', 'retry', run);
  assert.equal(code, 2);
  assert.match(stderr, /cannot be repeated: its standard input is not kept; type the command again/);
  assert.equal((await fleet.kompose('runs', 'retry', '01NOSUCHRUN')).code, 3);
});

test('repeats a run whose client had an empty stdin', async () => {
  await fleet.writeStack('prod-1', 'empty', { 'action.sh': 'cat >/dev/null; exit 3' });
  const run = await runOf('prod-1:empty', 'exec', '-T', 'web', 'true');
  assert.equal((await fleet.kompose('runs', 'retry', run)).code, 3);
  assert.equal((await lastRun())['retryOf'], run);
});

test('waits for the end of the run', async () => {
  await fleet.writeStack('prod-1', 'slow', { 'action.sh': 'exec sleep 100' });
  const id = (await fleet.must('--detach', 'prod-1:slow', 'up', '-d')).trim();
  const { code, stderr } = await fleet.kompose('runs', 'retry', id);
  assert.equal(code, 1);
  assert.match(stderr, /has not ended yet: kompose runs attach/);
  await fleet.must('runs', 'cancel', id);
});

test('counts the right of the one who repeats, and prints only the id with --detach', async () => {
  const run = await runOf('prod-1:shop', 'exec', '-T', 'web', 'true');
  assert.ok(run !== '');
  const failed = await runOf('prod-1:odd', 'up', '-d');
  const token = await fleet.must('users', 'add', 'vera', '--role', 'viewer');
  await fleet.run('vera', ['login', token.trim()]);
  assert.equal((await fleet.run('vera', ['runs', 'retry', failed])).code, 5);
  const detached = await fleet.must('runs', 'retry', '--detach', failed);
  assert.match(detached, /^[0-9A-Z]{26}\n$/);
  // An agent that is killed with a task under way leaves that task's files in memory.
  await fleet.kompose('runs', 'attach', detached.trim());
});
