import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, lstat, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { execa } from 'execa';
import {
  endFleet,
  jsonLines,
  outputOf,
  readStackFile,
  runJson,
  shows,
  startFleet,
  until,
  untilKnown,
  writeStacks,
} from './support.ts';
import { kompose as entry } from '../fleet/release.ts';

const fleet = await startFleet(['prod-1', 'prod-2'], {
  // How long a silent link is believed in decides how long these tests take.
  controllerEnv: { KOMPOSE_HEARTBEAT: '800ms' },
});
after(() => endFleet(fleet));

/** Prints numbered lines until the file `go` is there, a hundred more, and how many there were. */
const counting = `
hook_pre_create() {
  n=0
  until [[ -e go ]]; do echo "line $((n += 1))"; echo $n >printed; sleep 0.01; done
  for _ in {1..100}; do echo "line $((n += 1))"; done
  echo "total $n"
}
hook_post_create() { echo all done; }`;
const stacks = {
  'prod-1:restarted': { 'hooks.sh': counting },
  'prod-2:restarted': { 'hooks.sh': counting },
  'prod-1:away': { 'hooks.sh': counting },
  'prod-1:stopped': { 'hooks.sh': counting },
  'prod-1:cut': { 'hooks.sh': counting },
  'prod-1:killed': { 'hooks.sh': counting },
  'prod-1:upgraded': { 'hooks.sh': counting },
  'prod-2:plain': {},
  'prod-2:waiting': { 'hooks.sh': 'hook_pre_create() { printf %s "${DB_PASSWORD}" | sha256sum >seen; }' },
};
await writeStacks(fleet, stacks);
await untilKnown(fleet, stacks);

/** Starts `create` of a stack in the background and gives the run's id. */
async function startCounting(pattern: string): Promise<string> {
  const { stdout, stderr } = await fleet.kompose(['--detach', pattern, 'create']);
  assert.match(stdout, /^[0-9A-Z]{26}\n$/, stderr);
  return stdout.trim();
}

async function printed(host: string, stack: string): Promise<number> {
  return Number(await readStackFile(fleet, host, stack, 'printed'));
}

/** Waits until the hook has printed some more lines than it has now. */
async function untilMore(host: string, stack: string): Promise<void> {
  const before = await printed(host, stack);
  await until(`${host}:${stack} prints`, async () => (await printed(host, stack)) > before + 10);
}

function openGate(host: string, stack: string): Promise<void> {
  return writeFile(join(fleet.stacks(host), stack, 'go'), '');
}

/** The pre hook's output in the run's log is whole: every line once and in order, none after its end. */
async function assertComplete(run: string, target: string): Promise<void> {
  const { events, exitCode } = await runJson(fleet, ['runs', 'attach', run]);
  const own = events.filter(({ host, stack }) => `${host}:${stack}` === target);
  const lines = outputOf(own, 'pre').trimEnd().split('\n');
  const count = lines.length - 1;
  assert(count > 100);
  assert.deepEqual(lines, [...Array.from({ length: count }, (_, at) => `line ${at + 1}`), `total ${count}`]);
  assert.equal(outputOf(own, 'post'), 'all done\n');
  assert.equal(own.at(-1)?.state, 'succeeded');
  assert.equal(exitCode, 0);
}

async function isOnline(host: string): Promise<boolean> {
  const { stdout } = await fleet.kompose(['hosts', '-o', 'json']);
  return jsonLines(stdout).some(({ name, online }) => name === host && online === true);
}

describe('a controller that is killed and started again', { timeout: 90_000 }, () => {
  it('has its agents back by themselves, and the run in flight ends with all its output', async () => {
    const run = await startCounting('restarted');
    const watcher = fleet.spawnKompose(['-o', 'json', 'runs', 'attach', run]);
    await shows(watcher, 'stdout', 'line 10\\n');
    await fleet.kill('controller');
    await Promise.all([untilMore('prod-1', 'restarted'), untilMore('prod-2', 'restarted')]);
    await fleet.startController();
    await until('both agents are back', async () => (await isOnline('prod-1')) && (await isOnline('prod-2')));
    await openGate('prod-1', 'restarted');
    await openGate('prod-2', 'restarted');
    const { stdout, exitCode } = await watcher;
    assert.equal(exitCode, 0);
    for (const target of ['prod-1:restarted', 'prod-2:restarted']) await assertComplete(run, target);
    // Who watched all the time has seen the same events as who came later.
    const later = await fleet.kompose(['-o', 'json', 'runs', 'attach', run]);
    assert.equal(stdout, later.stdout);
  });

  it('has the end of a run that came while it was away', async () => {
    const run = await startCounting('away');
    await until('the hook prints', async () => (await printed('prod-1', 'away')) > 10);
    await fleet.kill('controller');
    await openGate('prod-1', 'away');
    await until('the action has run', async () => {
      const names = await fleet.rig.docker('prod-1', ['ps', '--all', '--format', '{{.Names}}']);
      return names.includes('away-api-1');
    });
    await fleet.startController();
    await assertComplete(run, 'prod-1:away');
  });
});

describe('an agent that ends in the middle of a hook', { timeout: 90_000 }, () => {
  for (const [stack, signal] of [
    ['killed', 'SIGKILL'],
    ['upgraded', 'SIGTERM'],
  ] as const) {
    it(`by ${signal} leaves it to the next one, and no byte is missing or doubled`, async () => {
      const run = await startCounting(stack);
      const watcher = fleet.spawnKompose(['-o', 'json', 'runs', 'attach', run]);
      await shows(watcher, 'stdout', 'line 10\\n');
      for (let time = 0; time < 2; time++) {
        await fleet.kill('prod-1', signal);
        await untilMore('prod-1', stack);
        await fleet.startAgent('prod-1');
        await untilMore('prod-1', stack);
      }
      await openGate('prod-1', stack);
      const { stdout, exitCode } = await watcher;
      assert.equal(exitCode, 0);
      await assertComplete(run, `prod-1:${stack}`);
      const later = await fleet.kompose(['-o', 'json', 'runs', 'attach', run]);
      assert.equal(stdout, later.stdout);
      const states = jsonLines(later.stdout).filter(({ type }) => type === 'task.started');
      assert.equal(states.length, 1);
    });
  }
});

describe('a controller that is stopped and started again', { timeout: 90_000 }, () => {
  it('ends in time, and the run goes on under the eyes of whoever watches it', async () => {
    const run = await startCounting('stopped');
    const watcher = fleet.spawnKompose(['-o', 'json', 'runs', 'attach', run]);
    await shows(watcher, 'stdout', 'line 10\\n');
    const startedMs = performance.now();
    const { exitCode: ended } = await fleet.kill('controller', 'SIGTERM');
    assert.equal(ended, 0);
    assert.ok(performance.now() - startedMs < 5_000);
    await untilMore('prod-1', 'stopped');
    await fleet.startController();
    await until('the agent is back', () => isOnline('prod-1'), 30_000);
    await openGate('prod-1', 'stopped');
    const { exitCode } = await watcher;
    assert.equal(exitCode, 0);
    await assertComplete(run, 'prod-1:stopped');
  });
});

describe('a controller that is killed while a task waits for its host', { timeout: 90_000 }, () => {
  it('has it run when both are back, with the secret that the host alone could open', async () => {
    const secret = 'correct-horse-battery';
    await fleet.kill('prod-2');
    await until('prod-2 is taken for offline', async () => !(await isOnline('prod-2')));
    const options = ['--detach', '--offline', 'wait=5m', '-e', `DB_PASSWORD=${secret}`];
    const { stdout, stderr } = await fleet.kompose([...options, 'prod-2:waiting', 'create']);
    assert.match(stdout, /^[0-9A-Z]{26}\n$/, stderr);
    await fleet.kill('controller');
    const left = await readAll(join(fleet.folder, 'controller'));
    assert.ok(left.includes('DB_PASSWORD') && !left.includes(secret));
    await fleet.startController();
    await fleet.startAgent('prod-2');
    const { events, exitCode } = await runJson(fleet, ['runs', 'attach', stdout.trim()]);
    assert.equal(events.findLast(({ type }) => type === 'task.finished')?.state, 'succeeded');
    assert.equal(exitCode, 0);
    const digest = createHash('sha256').update(secret).digest('hex');
    assert.equal(await readStackFile(fleet, 'prod-2', 'waiting', 'seen'), `${digest}  -\n`);
    await until('the other agent is back', () => isOnline('prod-1'), 30_000);
  });
});

/** All files of a folder, one after the other. */
async function readAll(folder: string): Promise<Buffer> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((found) => found.isFile()).map((found) => join(found.parentPath, found.name));
  return Buffer.concat(await Promise.all(files.map((file) => readFile(file))));
}

describe('a cut link', { timeout: 90_000 }, () => {
  it('does not hurt the run, which ends complete when it is healed', async () => {
    const run = await startCounting('cut');
    await until('the hook prints', async () => (await printed('prod-1', 'cut')) > 10);
    await fleet.rig.cutLink('prod-1');
    await until('prod-1 is taken for offline', async () => !(await isOnline('prod-1')));
    await untilMore('prod-1', 'cut');
    await fleet.rig.healLink('prod-1');
    await until('prod-1 is back', () => isOnline('prod-1'), 30_000);
    await openGate('prod-1', 'cut');
    await assertComplete(run, 'prod-1:cut');
  });
});

describe('a second agent with the certificate of the first', { timeout: 60_000 }, () => {
  it('takes over, and the first says so and does not come back', async () => {
    const host = fleet.rig.host('prod-2');
    const env = { ...host.env, HOME: fleet.folder, LANG: 'C.UTF-8' };
    const first = join(fleet.folder, 'agent-prod-2');
    const copy = join(fleet.folder, 'agent-copy');
    await cp(first, copy, { recursive: true, filter: async (path) => !(await lstat(path)).isSocket() });
    const start = (home: string) => {
      const [program, ...args] = [...host.argvPrefix, process.execPath, entry, 'agent', 'serve'];
      return execa(program, args, { env: { ...env, KOMPOSE_HOME: home }, extendEnv: false, reject: false });
    };
    await fleet.kill('prod-2');
    const older = start(first);
    await shows(older, 'stdout', 'connected to');
    const newer = start(copy);
    await shows(newer, 'stdout', 'connected to');
    const { exitCode, stderr } = await older;
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /^kompose: another agent for prod-2 was started later with the same certificate and has taken over/m,
    );
    assert.equal((await fleet.kompose(['plain', 'ps'])).exitCode, 0);
    newer.kill('SIGTERM');
    assert.equal((await newer).exitCode, 0);
    await fleet.startAgent('prod-2');
  });
});

describe('a host that is removed', { timeout: 60_000 }, () => {
  it('is cut off at once, and its name is free again', async () => {
    assert.equal((await fleet.kompose(['prod-2:plain', 'ps'])).exitCode, 0);
    assert.equal((await fleet.kompose(['hosts', 'remove', 'prod-2'])).exitCode, 0);
    assert.equal((await fleet.kompose(['prod-2:plain', 'ps'])).exitCode, 3);
    const { stdout } = await fleet.kompose(['hosts', '-o', 'json']);
    assert.deepEqual(
      jsonLines(stdout).map(({ name }) => name),
      ['prod-1'],
    );
    await assert.rejects(fleet.startAgent('prod-2'), /it ended with 5/);
    const audit = await fleet.kompose(['audit', 'ls', '-o', 'json']);
    const types = new Set(jsonLines(audit.stdout).map(({ type }) => type));
    assert(types.has('host.removed'));
    assert(types.has('host.refused'));
  });

  it('loses the run that it was on', async () => {
    await writeStacks(fleet, { 'prod-1:removed': { 'hooks.sh': counting } });
    const watcher = fleet.spawnKompose(['removed', 'create']);
    await shows(watcher, 'stderr', 'line 10');
    await fleet.kompose(['hosts', 'remove', 'prod-1']);
    const { exitCode, stderr } = await watcher;
    assert.equal(exitCode, 4);
    assert.match(stderr, /^prod-1:removed lost/m);
  });
});
