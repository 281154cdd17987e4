import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { Screen } from './screen.ts';
import {
  endFleet,
  idleService,
  jsonLines,
  processesOf,
  shows,
  startFleet,
  until,
  untilKnown,
} from './support.ts';

const host = 'prod-1';
let fleet: KomposeFleet;

before(async () => {
  fleet = await startFleet([host], { agentEnv: { KOMPOSE_LOST_AFTER: '1s' } });
  const chained = '"$SCRIPT_DIR/kompose.sh" db';
  await fleet.writeStack(host, 'app', {
    'compose.yaml': idleService,
    input: 'x'.repeat(1000),
    'hooks.sh': `hook_pre_port() {
  x=$(${chained} exec -T api printf 'a\\n\\001b'); printf 'x=%q\\n' "$x"
  ${chained} exec -T api wc -c <"$SCRIPT_DIR/app/input"
  printf 12345 | ${chained} run --rm -T api wc -c
  ${chained} exec -T api sh -c 'exit 9'; echo "code $?"
  ${chained} pull; echo "code $?"
  "$SCRIPT_DIR/kompose.sh" nowhere ps; echo "code $?"
  "$SCRIPT_DIR/kompose.sh" '{db,web}' ps --services 2>/dev/null | sort
}
hook_pre_build() { ${chained} build; }
`,
  });
  await fleet.writeStack(host, 'db', {
    'compose.yaml': idleService,
    'hooks.sh': 'hook_pre_pull() { return 3; }\nhook_pre_build() { echo child begins; sleep 1000; }\n',
  });
  const talking = `${idleService}    command: sh -c 'echo here I am; exec sleep 100000'\n    init: true\n`;
  await fleet.writeStack(host, 'web', { 'compose.yaml': talking });
  await untilKnown(fleet, { [`${host}:app`]: {}, [`${host}:db`]: {}, [`${host}:web`]: {} });
  const { exitCode, stderr } = await fleet.kompose(['*', 'up', '-d']);
  assert.equal(exitCode, 0, stderr);
});

after(() => endFleet(fleet));

const scriptPath = (): string => join(fleet.stacks(host), 'kompose.sh');

/** `kompose.sh` as a person on the host types it. */
function script(args: readonly string[], input?: string) {
  return execa(scriptPath(), args, {
    env: { KOMPOSE_TASK_ID: undefined, ...fleet.rig.host(host).env },
    reject: false,
    stripFinalNewline: false,
    timeout: 60_000,
    maxBuffer: 256 * 1024 * 1024,
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
  });
}

describe('in a hook', { timeout: 60_000 }, () => {
  test('a chained command gives its bytes, takes its stdin, tells its exit code, prefixes several', async () => {
    const { stderr } = await fleet.kompose(['app', 'port', 'api', '1']);
    const own = stderr.split('\n').filter((line) => /^(?:x=|\d+$|code |prod-1:\w+ +\| )/.test(line));
    const several = ['prod-1:db  | api', 'prod-1:web | api'];
    assert.deepEqual(own, [`x=$'a\\n\\001b'`, '1000', '5', 'code 9', 'code 1', 'code 3', ...several]);
  });

  test('a cancel of the parent ends the child', async () => {
    const run = fleet.spawnKompose(['app', 'build']);
    await shows(run, 'stderr', 'child begins');
    run.kill('SIGINT');
    assert.equal((await run).exitCode, 130);
    for (const stack of ['app', 'db']) assert.deepEqual(await processesOf(fleet, host, stack), []);
    const { stdout } = await fleet.kompose(['-o', 'json', 'runs', 'ls', '--limit', '2']);
    const states = jsonLines(stdout).map(({ state }) => state);
    assert.deepEqual(states, ['cancelled', 'cancelled']);
  });
});

describe('typed by a person', { timeout: 120_000 }, () => {
  test('passes bytes both ways at once, however many', async () => {
    const bytes = randomBytes(8_000_000).toString('hex');
    const { stdout, exitCode } = await script(['db', 'exec', '-T', 'api', 'cat'], bytes);
    assert.equal(exitCode, 0);
    assert.ok(stdout === bytes);
  });

  test('shows json, the list, the plan', async () => {
    const { stdout } = await script(['-o', 'json', 'db', 'ps', '--services']);
    const types = jsonLines(stdout).map(({ type }) => type);
    assert.deepEqual([types[0], types.at(-1)], ['run.started', 'run.finished']);
    assert.match((await script(['-l', 'db'])).stdout, /^HOST .*\nprod-1 +db .* api\n$/s);
    assert.match((await script(['prod-1:db', 'build', '--dry-run'])).stdout, /hook_pre_build build\n/);
  });

  test('exec -it gets a real terminal, of the same size', async () => {
    const { PATH = '' } = process.env;
    const argv = [scriptPath(), 'db', 'exec', '-it', 'api', 'sh'] as const;
    using screen = new Screen([...argv], { env: { PATH, HOME: '/root' }, rows: 31, columns: 97 });
    await screen.shows(/# (?:.\[(?:6n|J))?$/);
    screen.type('tty; stty size\r');
    await screen.shows(/\/dev\/pts\/\d+\r\n31 97\r\n/);
    screen.resize(133, 44);
    for (let size = ''; size !== '44 133';) {
      screen.type('echo size $(stty size).\r');
      [, size = ''] = await screen.shows(/size (\d+ \d+)\./);
    }
    screen.type('exit 7\r');
    assert.equal(await screen.ends(), 7);
  });

  test('Ctrl-C cancels, and a caller that is killed takes with it what needs a watcher', async () => {
    const build = script(['db', 'build']);
    await shows(build, 'stderr', 'child begins');
    build.kill('SIGINT');
    const { exitCode, stderr } = await build;
    assert.deepEqual([exitCode, /cancelled by its caller/.test(stderr)], [130, true]);
    const reading = script(['web', 'logs', '-f']);
    await shows(reading, 'stdout', 'here I am');
    reading.kill('SIGKILL');
    await reading;
    await until('nothing of it runs', async () => (await processesOf(fleet, host, 'web')).length === 0);
  });

  test('a slow reader slows what reads down, with the controller away too, and gets every byte', async () => {
    await fleet.kill('controller');
    const lines = 3_000_000;
    const reader = execa(
      'bash',
      [
        '-c',
        '"$0" db exec -T api seq "$1" | { read -r first; read -r -n 1 -t 2 <> <(:); md5sum; }',
        scriptPath(),
        String(lines),
      ],
      { reject: false, timeout: 100_000 },
    );
    const { stdout } = await reader;
    const expected = await execa('bash', ['-c', `seq 2 ${lines} | md5sum`]);
    assert.equal(stdout, expected.stdout);
  });

  test('what runs when the controller comes back goes on', async () => {
    const build = script(['db', 'build']);
    await shows(build, 'stderr', 'child begins');
    await fleet.startController();
    await until('the host is back', async () => {
      const { stdout } = await fleet.kompose(['-o', 'json', 'hosts']);
      return jsonLines(stdout)[0]?.online === true;
    });
    const running = async (): Promise<boolean> => {
      const { stdout } = await fleet.kompose(['-o', 'json', 'runs', 'ls', '--limit', '1']);
      const [run] = jsonLines(stdout);
      return run?.state === 'running';
    };
    await until('its run is known', running);
    build.kill('SIGINT');
    assert.match((await build).stderr, /cancelled by its caller/);
  });
});

test('local mode on the same root shares the locks, leaves the script alone, and chains by itself', async () => {
  const kept = await readFile(scriptPath(), 'utf8');
  const env = { ...fleet.rig.host(host).env, KOMPOSE_STACKS: fleet.stacks(host) };
  const local = (...words: string[]) => fleet.spawnKompose(['--local', ...words], { env });
  const first = script(['db', 'build']);
  await shows(first, 'stderr', 'child begins');
  const second = local(':db', 'restart', '-t', '0');
  await shows(second, 'stderr', 'waits for run');
  first.kill('SIGINT');
  assert.equal((await second).exitCode, 0);
  const { stderr } = await local('app', 'port', 'api', '1');
  assert.match(stderr, /^x=\$'a\\n\\001b'$/m);
  assert.match(stderr, /:db .*hook_pre_pull ended with exit code 3/);
  assert.equal(await readFile(scriptPath(), 'utf8'), kept);
});

test('what needs a watcher elsewhere ends when the controller stays away, what changes goes on', async () => {
  const reading = fleet.spawnKompose(['web', 'logs', '-f']);
  await shows(reading, 'stdout', 'here I am');
  const changing = fleet.spawnKompose([':db', 'build']);
  await shows(changing, 'stderr', 'child begins');
  await fleet.kill('controller');
  await until('it has ended', async () => (await processesOf(fleet, host, 'web')).length === 0);
  assert.notDeepEqual(await processesOf(fleet, host, 'db'), []);
  await fleet.startController();
  assert.match((await reading).stderr, /cut off from the controller for 1(?:\.0)?s: nobody watches it/);
  changing.kill('SIGINT');
  assert.equal((await changing).exitCode, 130);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`an agent that ends by ${signal} says so to its callers, and its successor goes on with what they asked`, async () => {
    const asked = script(['db', 'build']);
    await shows(asked, 'stderr', 'child begins');
    const running = await processesOf(fleet, host, 'db');
    await fleet.kill(host, signal);
    const { exitCode, stderr } = await asked;
    assert.equal(exitCode, 1);
    assert.match(stderr, /the agent of this host ended before the command did/);
    assert.ok(running.length > 0);
    const still = await processesOf(fleet, host, 'db');
    assert.deepEqual(
      running.filter((pid) => !still.includes(pid)),
      [],
    );
    const away = await script(['db', 'ps']);
    assert.deepEqual([away.exitCode, /is not running .*kompose agent serve/.test(away.stderr)], [6, true]);
    await fleet.startAgent(host);
    const newest = async (): Promise<{ state?: string; run?: string }> =>
      jsonLines((await fleet.kompose(['runs', '-o', 'json', '--limit', '1'])).stdout)[0] ?? {};
    const { state, run = '' } = await newest();
    assert.equal(state, 'running');
    assert.equal((await fleet.kompose(['runs', 'cancel', run])).exitCode, 0);
    await until('it has ended', async () => (await newest()).state === 'cancelled');
    assert.deepEqual(await processesOf(fleet, host, 'db'), []);
  });
}

test('a hook that goes on without its agent waits for the next one to chain', async () => {
  const hooks = `hook_pre_build() { echo waits; until [[ -e go ]]; do sleep 0.05; done; touch asks
  "$SCRIPT_DIR/kompose.sh" web create --no-recreate; echo "code $?"; }`;
  await fleet.writeStack(host, 'late', { 'compose.yaml': idleService, 'hooks.sh': hooks });
  const parent = fleet.spawnKompose(['late', 'build']);
  await shows(parent, 'stderr', 'waits');
  await fleet.kill(host);
  await fleet.writeStack(host, 'late', { go: '' });
  const folder = join(fleet.stacks(host), 'late');
  await until('it asks', async () => (await readdir(folder)).includes('asks'));
  await fleet.startAgent(host);
  const { exitCode, stderr } = await parent;
  assert.equal(exitCode, 0, stderr);
  assert.match(stderr, /^code 0$/m);
});

test('leaves no lock behind', async () => {
  const locks = join(fleet.stacks(host), '.kompose', 'locks');
  await until('every lock is free', async () => {
    const held = await Promise.all((await readdir(locks)).map((each) => readdir(join(locks, each))));
    return held.flat().length === 0;
  });
  assert.match(await readFile(scriptPath(), 'utf8'), /Kept by the kompose agent/);
});
