import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { Screen, type ScreenOptions } from '../e2e/screen.ts';
import { endFleet, idleService, processesOf, startFleet, until } from '../e2e/support.ts';
import { kompose as program } from '../fleet/release.ts';
const exec = ['-H', 'prod-1', 'app', 'exec', '-it', 'api', 'sh'];
const ctrlC = '\x03';
const ctrlZ = '\x1a';
let fleet: KomposeFleet;

before(async () => {
  fleet = await startFleet(['prod-1', 'prod-2']);
  for (const host of ['prod-1', 'prod-2']) {
    await fleet.writeStack(host, 'app', { 'compose.yaml': idleService });
    const { exitCode, stderr } = await fleet.kompose([`${host}:app`, 'up', '-d']);
    assert.equal(exitCode, 0, stderr);
  }
});

after(() => endFleet(fleet));

function env(): Record<string, string> {
  const { PATH = '', HOME = '/root' } = process.env;
  return { PATH, HOME, LANG: 'C.UTF-8', KOMPOSE_HOME: fleet.home };
}

function kompose(args: readonly string[], options: Omit<ScreenOptions, 'env'> = {}): Screen {
  return new Screen([process.execPath, program, ...args], { env: env(), ...options });
}

/** Between two looks at how the terminal is set. */
function komposeInShell(args: readonly string[]): Screen {
  const script = 'echo "before=$(stty -g)"; "$@"; echo "code=$?"; echo "after=$(stty -g)"';
  return new Screen(['sh', '-c', script, 'sh', process.execPath, program, ...args], { env: env() });
}

async function lastRun(): Promise<{ run: string; state: string }> {
  const { stdout } = await fleet.kompose(['-o', 'json', 'runs', 'ls', '--limit', '1']);
  return JSON.parse(stdout) as { run: string; state: string };
}

/** The prompt of the shell inside, also drawn anew at a new size. */
const prompt = /# (?:.\[(?:6n|J))?$/;

for (const words of [
  ['exec', '-it', 'api', 'sh'],
  ['exec', 'api', 'sh'],
  ['run', '--rm', '-it', 'api', 'sh'],
  ['run', '--rm', 'api', 'sh'],
]) {
  test(`${words.join(' ')} is a terminal of the same size, and gives the exit code`, async () => {
    using screen = kompose(['-H', 'prod-1', 'app', ...words], { rows: 31, columns: 97 });
    await screen.shows(prompt);
    screen.type('echo $((6 * 7)); tty; stty size\r');
    await screen.shows(/^42\r\n\/dev\/(?:pts\/\d+|console)\r\n31 97\r\n/m);
    await screen.shows(prompt);
    screen.type('exit 7\r');
    assert.equal(await screen.ends(), 7);
  });
}

test('follows the size of the client’s terminal', async () => {
  using screen = kompose(exec);
  await screen.shows(prompt);
  screen.type('trap "stty size" WINCH; echo rea""dy\r');
  await screen.shows(/ready\r\n/);
  screen.resize(133, 44);
  for (let size = ''; size !== '44 133';) {
    screen.type('echo size $(stty size).\r');
    [, size = ''] = await screen.shows(/size (\d+ \d+)\./);
  }
  screen.type('exit\r');
  assert.equal(await screen.ends(), 0);
});

test('Ctrl-C ends what runs inside and not the shell, Ctrl-Z stops it', async () => {
  using screen = kompose(exec);
  await screen.shows(prompt);
  // Told by what is to be interrupted, so that it is there.
  const sleeper = `sh -c 'echo begin""s; exec sleep 1000'\r`;
  screen.type(sleeper);
  await screen.shows(/begins\r\n/);
  screen.type(ctrlC);
  await screen.shows(/\^C/);
  screen.type('echo code $?.\r');
  await screen.shows(/code 130\./);
  screen.type(sleeper);
  await screen.shows(/begins\r\n/);
  screen.type(ctrlZ);
  await screen.shows(/Stopped/);
  // Its own `exit` would complain of a stopped job.
  screen.type("kill -9 %1; exec sh -c 'exit 3'\r");
  assert.equal(await screen.ends(), 3);
  assert.doesNotMatch(screen.text, /cancelling/);
});

test('keeps every byte of what is pasted', async () => {
  using screen = kompose(exec);
  await screen.shows(prompt);
  screen.type('stty -echo -icanon; echo rea""dy; head -c 300000 | md5sum; stty sane\r');
  await screen.shows(/ready\r\n/);
  const text = randomBytes(150_000).toString('hex');
  screen.type(text);
  const expected = await execa('md5sum', { input: text });
  await screen.shows(new RegExp(expected.stdout.slice(0, 32)));
  screen.type('exit\r');
  assert.equal(await screen.ends(), 0);
});

test('shows what a full-screen program paints, line feed for line feed', async () => {
  using screen = kompose(exec);
  await screen.shows(prompt);
  screen.type('stty -opost; printf "<%s\\n%s>" a b; stty opost\r');
  await screen.shows(/<a\nb>/);
  screen.type('exit\r');
  await screen.ends();
});

test('shows the hooks around it on the terminal as it was, without giving it to them', async () => {
  const hooks = 'hook_pre_exec() { tty; echo one; echo two; }\nhook_post_exec() { echo three; echo four; }\n';
  await fleet.writeStack('prod-2', 'hooked', { 'compose.yaml': idleService, 'hooks.sh': hooks });
  assert.equal((await fleet.kompose(['hooked', 'up', '-d'])).exitCode, 0);
  using screen = kompose(['hooked', 'exec', 'api', 'sh']);
  await screen.shows(/not a tty\r\none\r\ntwo\r\n/);
  await screen.shows(prompt);
  screen.type('exit\r');
  await screen.shows(/three\r\nfour\r\n/);
  assert.equal(await screen.ends(), 0);
});

test('Ctrl-C during a hook still cancels the run', async () => {
  const hooks = 'hook_pre_exec() { echo begins; sleep 1000; }\n';
  await fleet.writeStack('prod-2', 'slow', { 'compose.yaml': idleService, 'hooks.sh': hooks });
  using screen = kompose(['prod-2:slow', 'exec', 'api', 'sh']);
  await screen.shows(/begins\r\n/);
  screen.type(ctrlC);
  await screen.shows(/cancelling/);
  assert.equal(await screen.ends(), 130);
});

test('leaves the terminal as it found it, however it ends', async (t) => {
  const restored = async (screen: Screen): Promise<string> => {
    const [, code = ''] = await screen.shows(/code=(\d+)\r\n/);
    const [, ends] = await screen.shows(/after=(\S+)\r\n/);
    const [, begins] = /before=(\S+)\r\n/.exec(screen.text) ?? [];
    assert.equal(ends, begins);
    return code;
  };
  const childOf = async (screen: Screen): Promise<number> =>
    Number((await execa('ps', ['-o', 'pid=', '--ppid', String(screen.pid)])).stdout.trim());
  await t.test('by its exit', async () => {
    using screen = komposeInShell(exec);
    await screen.shows(prompt);
    screen.type('exit 5\r');
    assert.equal(await restored(screen), '5');
  });
  await t.test('by its deadline', async () => {
    using screen = komposeInShell(['--timeout', '3', ...exec]);
    await screen.shows(prompt);
    assert.equal(await restored(screen), '1');
  });
  await t.test('by a cancel from elsewhere', async () => {
    using screen = komposeInShell(exec);
    await screen.shows(prompt);
    const { run } = await lastRun();
    assert.equal((await fleet.kompose(['runs', 'cancel', run])).exitCode, 0);
    assert.equal(await restored(screen), '130');
  });
  for (const [signal, code] of [
    ['SIGTERM', '143'],
    ['SIGHUP', '129'],
  ] as const) {
    await t.test(`by ${signal}, which ends the run too`, async () => {
      using screen = komposeInShell(exec);
      await screen.shows(prompt);
      process.kill(await childOf(screen), signal);
      assert.equal(await restored(screen), code);
      // One client that waits, for the ten seconds that the shell inside has.
      await fleet.kompose(['runs', 'attach', (await lastRun()).run]);
      assert.equal((await lastRun()).state, 'cancelled');
      await until(
        'its process is gone',
        async () => (await processesOf(fleet, 'prod-1', 'app')).length === 0,
      );
    });
  }
});

test('is no terminal with -T, with -o json, for several targets', async () => {
  using one = kompose(['-H', 'prod-1', 'app', 'exec', '-T', 'api', 'tty']);
  await one.shows(/not a tty/);
  await one.ends();
  using several = kompose(['app', 'exec', '-T', 'api', 'tty']);
  await several.shows(/prod-1:app .*not a tty/);
  await several.ends();
});

test('exec -T stays byte for byte what it was', async () => {
  const bytes = randomBytes(1_000_000);
  const { stdout, exitCode } = await execa(
    process.execPath,
    [program, '-H', 'prod-1', 'app', 'exec', '-T', 'api', 'cat'],
    { env: env(), input: bytes, encoding: 'buffer', reject: false },
  );
  assert.equal(exitCode, 0);
  assert.equal(Buffer.compare(bytes, stdout), 0);
});

test('ends with its terminal when the controller is killed', async () => {
  using screen = komposeInShell(exec);
  await screen.shows(prompt);
  await fleet.kill('controller');
  await screen.shows(/the link to the controller is lost/);
  await fleet.startController();
  await screen.shows(/code=130\r\n/, 40_000);
  const [, ends] = await screen.shows(/after=(\S+)\r\n/);
  assert.equal(ends, /before=(\S+)\r\n/.exec(screen.text)?.[1]);
  await until('its process is gone', async () => (await processesOf(fleet, 'prod-1', 'app')).length === 0);
});

test('leaves no lock behind', async () => {
  const locks = join(fleet.stacks('prod-1'), '.kompose', 'locks', 'app');
  const { stdout } = await execa('ls', [locks]);
  assert.equal(stdout, '');
});
