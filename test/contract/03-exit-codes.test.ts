import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { endFleet, jsonLines, runJson, shows, startFleet, untilKnown, writeStacks } from '../e2e/support.ts';

/* Section 3 of the command contract, row by row, and which row holds when several do. Refusals: see beside. */

const fleet = await startFleet(['prod-1', 'prod-2'], {
  controllerEnv: { KOMPOSE_HEARTBEAT: '500ms', KOMPOSE_LOST_AFTER: '2s' },
});
after(() => endFleet(fleet));
const hooks = `
hook_pre_exec() { return "\${CODE:-0}"; }
hook_post_exec() { return "\${POST:-0}"; }
hook_pre_ps() { [ -z "\${WAIT-}" ] || { echo begun; sleep 1000; }; return "\${CODE:-0}"; }
hook_pre_pull() { echo begun; sleep 1000; }
`;
const stacks = {
  'prod-1:app': { 'hooks.sh': hooks },
  'prod-1:bad': { 'hooks.sh': 'hook_pre_ps() { return 9; }\n' },
  'prod-2:app': { 'hooks.sh': hooks },
};
await writeStacks(fleet, stacks);
await untilKnown(fleet, stacks);
assert.equal((await fleet.kompose(['prod-1:app', 'up', '-d'])).exitCode, 0);

const one = 'prod-1:app';
const sh = (script: string): string[] => ['exec', '-T', 'api', 'sh', '-c', script];
/** The code, and what ended how. */
async function codeOf(...args: readonly string[]): Promise<[exitCode: number, states: string]> {
  const { exitCode, ends } = await runJson(fleet, args);
  const inOrder = Object.entries(ends).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return [exitCode, inOrder.map(([, { state }]) => state).join(' ')];
}

/** Interrupts as soon as something has begun. */
async function interrupted(...args: readonly string[]): Promise<number | undefined> {
  const run = fleet.spawnKompose(args);
  await shows(run, 'stderr', 'begun');
  run.kill('SIGINT');
  return (await run).exitCode;
}

describe('0', { concurrency: 3, timeout: 60_000 }, () => {
  it('every target succeeded', async () => {
    assert.deepEqual(await codeOf('app', 'ps'), [0, 'succeeded succeeded']);
  });

  it('every target was skipped', async () => {
    assert.deepEqual(await codeOf('app', 'db:export'), [0, 'skipped skipped']);
  });

  it('a dry run, also of what would fail', async () => {
    assert.equal((await fleet.kompose(['-n', '*', 'ps'])).exitCode, 0);
  });

  it('a detached run that was accepted, also if it fails', async () => {
    const { exitCode, stdout } = await fleet.kompose(['--detach', 'bad', 'ps']);
    assert.equal(exitCode, 0);
    assert.equal((await fleet.kompose(['runs', 'attach', stdout.trim()])).exitCode, 1);
  });
});

describe('1', { concurrency: 3, timeout: 60_000 }, () => {
  it('a task failed, whatever its own code, among others that succeeded', async () => {
    assert.deepEqual(await codeOf('prod-1:*', 'ps'), [1, 'succeeded failed']);
  });

  it('a task timed out', async () => {
    assert.deepEqual(await codeOf('--timeout', '500ms', one, 'pull'), [1, 'timed-out']);
  });

  it('a command other than exec and run ended with another code', async () => {
    const { exitCode, ends } = await runJson(fleet, [one, 'ps', '--no-such-option']);
    assert.equal(exitCode, 1);
    assert.notEqual(ends[one]?.exitCode, 1);
  });
});

describe('2, usage', { concurrency: 3, timeout: 60_000 }, () => {
  for (const args of [[], ['app'], ['[a', 'ps'], ['--timeout', '5x', 'app', 'ps'], ['hosts', 'show']]) {
    it(`kompose ${args.join(' ')}`, async () => {
      assert.equal((await fleet.kompose(args)).exitCode, 2);
    });
  }
});

describe('3', { concurrency: 3, timeout: 60_000 }, () => {
  for (const args of [
    ['nothing-matches', 'ps'],
    ['-n', 'nothing-matches', 'ps'],
    ['-l', 'nothing-matches'],
    ['runs', 'show', 'no-such-run'],
    ['hosts', 'show', 'no-such-host'],
    ['audit', 'show', '999999'],
  ]) {
    it(`kompose ${args.join(' ')}`, async () => {
      assert.equal((await fleet.kompose(args)).exitCode, 3);
    });
  }
});

describe("the command's own", { concurrency: 3, timeout: 60_000 }, () => {
  it('of exec and run on a single target', async () => {
    assert.deepEqual(await codeOf(one, ...sh('exit 7')), [7, 'failed']);
    assert.deepEqual(await codeOf(one, ...sh('exit 130')), [130, 'failed']);
    assert.deepEqual(await codeOf(one, ...sh('kill -9 $$')), [137, 'failed']);
    assert.deepEqual(await codeOf(one, ...sh('exit 0')), [0, 'succeeded']);
    // Not where the others execute: compose before 2.39.3 sends them to the newest container, this one.
    const run = ['prod-2:app', 'run', '--rm', '-T', 'api', 'sh', '-c', 'exit 42'];
    assert.deepEqual(await codeOf(...run), [42, 'failed']);
  });

  it('only if the action ran: a failing hook is 1', async () => {
    assert.deepEqual(await codeOf('-e', 'CODE=7', one, ...sh('exit 5')), [1, 'failed']);
    assert.deepEqual(await codeOf('-e', 'POST=7', one, ...sh('exit 0')), [1, 'failed']);
  });

  it('only if it was neither timed out nor cancelled', async () => {
    const trapping = sh('trap "exit 5" TERM INT; echo begun >&2; while :; do sleep 0.1; done');
    assert.deepEqual(await codeOf('--timeout', '1500ms', one, ...trapping), [1, 'timed-out']);
    assert.equal(await interrupted(one, ...trapping), 130);
  });

  it('not on several targets', async () => {
    const [exitCode, states] = await codeOf('app', ...sh('exit 7'));
    assert.deepEqual([exitCode, states], [1, 'failed failed']);
  });
});

describe('130, cancelled by the user', { timeout: 60_000 }, () => {
  it('by Ctrl-C', async () => {
    assert.equal(await interrupted(one, 'pull'), 130);
  });

  it('by kompose runs cancel, for who looks on too', async () => {
    const run = fleet.spawnKompose(['-o', 'json', one, 'pull']);
    const [line = ''] = (await shows(run, 'stdout', 'begun')).split('\n', 1);
    const { run: id = '' } = jsonLines(line)[0] ?? {};
    const other = fleet.spawnKompose(['runs', 'attach', id]);
    await shows(other, 'stderr', 'begun');
    assert.equal((await fleet.kompose(['runs', 'cancel', id])).exitCode, 0);
    assert.deepEqual([(await run).exitCode, (await other).exitCode], [130, 130]);
  });

  it('before 1: although another task had failed', async () => {
    const run = fleet.spawnKompose(['-e', 'WAIT=1', 'prod-1:*', 'ps']);
    await Promise.all([shows(run, 'stderr', 'begun'), shows(run, 'stderr', 'failed after')]);
    run.kill('SIGINT');
    const { exitCode, stderr } = await run;
    assert.equal(exitCode, 130);
    assert.match(stderr, /^2 targets: 1 failed, 1 cancelled in /m);
  });
});

describe('5', { timeout: 60_000 }, () => {
  const home = join(fleet.folder, 'vera');
  before(async () => {
    const token = await fleet.token('--role', 'viewer', '--name', 'vera');
    assert.equal((await fleet.kompose(['login', token], { home })).exitCode, 0);
  });

  it('not allowed: every target is denied', async () => {
    const { exitCode, ends } = await runJson(fleet, ['app', 'pull'], { home });
    assert.equal(exitCode, 5);
    assert.deepEqual(
      Object.values(ends).map(({ state }) => state),
      ['denied', 'denied'],
    );
    assert.equal((await fleet.kompose(['tokens', 'ls'], { home })).exitCode, 5);
  });

  it('not logged in', async () => {
    const nobody = { home: join(fleet.folder, 'nobody') };
    assert.equal((await fleet.kompose(['app', 'ps'], nobody)).exitCode, 5);
    assert.equal((await fleet.kompose(['hosts'], nobody)).exitCode, 5);
  });

  it('a removed identity, never 6', async () => {
    assert.equal((await fleet.kompose(['users', 'remove', 'vera'])).exitCode, 0);
    assert.equal((await fleet.kompose(['app', 'ps'], { home })).exitCode, 5);
    assert.equal((await fleet.kompose(['hosts'], { home })).exitCode, 5);
  });
});

describe('4', { timeout: 60_000 }, () => {
  it('a task lost: its host went away in the middle', async () => {
    const run = fleet.spawnKompose(['prod-2:app', 'pull']);
    await shows(run, 'stderr', 'begun');
    await fleet.kill('prod-2');
    const { exitCode, stderr } = await run;
    assert.equal(exitCode, 4);
    assert.match(stderr, /^prod-2:app lost/m);
  });

  it('a host unreachable, before 0: although others succeeded', async () => {
    assert.deepEqual(await codeOf('app', 'ps'), [4, 'succeeded unreachable']);
  });

  it('after 1: a task failed, too', async () => {
    assert.deepEqual(await codeOf('bad,prod-2:app', 'ps'), [1, 'failed unreachable']);
  });

  it('after 5, which is after 1, which is after 130: denied, failed, unreachable and cancelled in one run', async () => {
    const slow = { 'prod-1:slow': { 'hooks.sh': 'hook_pre_ps() { echo begun; sleep 1000; }\n' } };
    await writeStacks(fleet, slow);
    const rules = [
      '--allow',
      '*:{bad,slow} @read',
      '--allow',
      'prod-2:* @read',
      '--allow',
      'prod-1:app logs',
    ];
    assert.equal((await fleet.kompose(['roles', 'set', 'some', ...rules])).exitCode, 0);
    const token = await fleet.token('--role', 'some', '--name', 'sam');
    const home = join(fleet.folder, 'sam');
    assert.equal((await fleet.kompose(['login', token], { home })).exitCode, 0);
    const rows = [
      ['prod-2:app', 4, 'unreachable'],
      ['app', 5, 'denied unreachable'],
      ['app,bad', 1, 'denied failed unreachable'],
    ] as const;
    for (const [pattern, code, states] of rows) {
      const { exitCode, ends } = await runJson(fleet, [pattern, 'ps'], { home });
      const inOrder = Object.entries(ends).toSorted(([a], [b]) => (a < b ? -1 : 1));
      assert.deepEqual([exitCode, inOrder.map(([, { state }]) => state).join(' ')], [code, states]);
    }
    const run = fleet.spawnKompose(['app,bad,slow', 'ps'], { home });
    await Promise.all([shows(run, 'stderr', 'begun'), shows(run, 'stderr', 'failed after')]);
    run.kill('SIGINT');
    const { exitCode, stderr } = await run;
    assert.equal(exitCode, 130);
    assert.match(stderr, /^4 targets: 1 failed, 1 unreachable, 1 denied, 1 cancelled in /m);
  });

  it('and not 3 for a stack that is named, on a host that joined but is away', async () => {
    assert.equal((await fleet.kompose(['prod-2:never-seen', 'ps'])).exitCode, 4);
  });

  it('is 1 of a noun: a problem found', async () => {
    const { exitCode, stdout } = await fleet.kompose(['doctor']);
    assert.equal(exitCode, 1);
    assert.match(stdout, /prod-2.*offline/);
  });
});

describe('6, the controller cannot be reached', { timeout: 60_000 }, () => {
  before(() => fleet.kill('controller'));

  it('by a run', async () => {
    assert.equal((await fleet.kompose(['app', 'ps'])).exitCode, 6);
  });

  it('by a noun', async () => {
    assert.equal((await fleet.kompose(['hosts'])).exitCode, 6);
  });

  it('but who is not logged in is told so', async () => {
    assert.equal((await fleet.kompose(['hosts'], { home: join(fleet.folder, 'nobody') })).exitCode, 5);
  });
});
