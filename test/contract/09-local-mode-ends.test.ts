import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { LocalRoot } from '../e2e/local-root.ts';
import type { Screen } from '../e2e/screen.ts';
import { idleService, shows, until } from '../e2e/support.ts';

/** Section 9 of the command contract: terminals, Ctrl-C and the other ends of a run in local mode. */

const ctrlC = '\x03';
/** The prompt of the shell inside, also drawn anew at a new size. */
const prompt = /# (?:.\[(?:6n|J))?$/;
let here: LocalRoot;

before(async () => {
  here = await LocalRoot.start();
  await here.write({
    'app/compose.yaml': idleService,
    'app/hooks.sh': `hook_pre_exec() { tty; echo from the hook; }
hook_pre_build() { echo begins; sleep 1000; }
hook_fail_build() { echo "fail hook of $KOMPOSE_FAILED_STEP"; }
hook_pre_pull() { trap 'echo unmoved' TERM; echo begins; while :; do sleep 0.05; done; }
hook_pre_kill() { "$SCRIPT_DIR/kompose.sh" other kill; }
hook_pre_stop() {
  [[ -n \${SECOND-} ]] && { [[ -e stopping ]] && echo too early; return 0; }
  bash -c 'trap "sleep 1; rm stopping" TERM; touch stopping; setsid env -i sleep 1000 & echo begins; wait; wait'
}
hook_pre_create() { yes | head -n 200000; touch done; }
`,
    'other/compose.yaml': idleService,
    'other/hooks.sh': 'hook_pre_kill() { echo begins; sleep 1000; }\n',
  });
  const { exitCode, stderr } = await here.kompose(['*', 'up', '-d']);
  assert.equal(exitCode, 0, stderr);
});

after(() => here[Symbol.asyncDispose]());

/** Whatever the end was, no process works in a stack's folder, and no watchdog, lock nor work folder is left. */
afterEach(async () => {
  for (const stack of ['app', 'other']) {
    await until('nothing is left running', async () => (await processesIn(stack)).length === 0);
    const locks = join(here.path, '.kompose', 'locks', stack);
    await until('no lock is left', async () => (await readdir(locks)).length === 0);
  }
  await until('no watchdog is left', async () => (await watchdogs()).length === 0);
  assert.deepEqual(
    (await readdir(here.temp)).filter((name) => name.startsWith('kompose-run-')),
    [],
  );
});

async function watchdogs(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const told = async (pid: string, file: string): Promise<string> =>
    readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
  const ours = pids.map(
    async (pid) =>
      (await told(pid, 'cmdline')).includes('kompose-watchdog') &&
      (await told(pid, 'environ')).includes(`TMPDIR=${here.temp}\0`),
  );
  const found = await Promise.all(ours);
  return pids.filter((_, at) => found[at]);
}

async function processesIn(stack: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')));
  return pids.filter((_, at) => folders[at] === join(here.path, stack));
}

async function sleepersInContainers(): Promise<string[]> {
  const ids = (await here.rig.docker('here', ['ps', '--quiet'])).split('\n').filter((id) => id !== '');
  const seen = await Promise.all(
    ids.map((id) => here.rig.docker('here', ['top', id, '-eo', 'pid,args']).catch(() => '')),
  );
  return seen.flatMap((text) => text.split('\n')).filter((line) => line.endsWith(' sleep 4321'));
}

/** Between two looks at how the terminal is set. */
function inShell(words: string): Screen {
  const look = 'echo "before=$(stty -g)"; WORDS; echo "code=$?"; echo "after=$(stty -g)"';
  return here.screenOf(['bash', '-c', look.replace('WORDS', words)]);
}

async function isAsItWas(screen: Screen): Promise<string> {
  const [, code = ''] = await screen.shows(/code=(\d+)\r\n/);
  const [, ends] = await screen.shows(/after=(\S+)\r\n/);
  const [, begins] = /before=(\S+)\r\n/.exec(screen.text) ?? [];
  assert.equal(ends, begins);
  return code;
}

describe('a terminal', { timeout: 120_000 }, () => {
  for (const words of [
    ['app', 'exec', '-it', 'api', 'sh'],
    ['app', 'exec', 'api', 'sh'],
    ['other', 'run', '--rm', '-it', 'api', 'sh'],
  ]) {
    test(`${words.slice(1).join(' ')} gets a real one, of the same size, and gives the exit code`, async () => {
      using screen = here.screen(words, { rows: 31, columns: 97 });
      await screen.shows(prompt);
      screen.type('echo $((6 * 7)); tty; stty size\r');
      await screen.shows(/^42\r\n\/dev\/(?:pts\/\d+|console)\r\n31 97\r\n/m);
      screen.resize(133, 44);
      for (let size = ''; size !== '44 133';) {
        screen.type('echo size $(stty size).\r');
        [, size = ''] = await screen.shows(/size (\d+ \d+)\./);
      }
      screen.type('exit 7\r');
      assert.equal(await screen.ends(), 7);
    });
  }

  test('Ctrl-C goes to what runs inside, and hooks have no terminal', async () => {
    using screen = inShell('$KOMPOSE app exec api sh');
    await screen.shows(/not a tty\r\nfrom the hook\r\n/);
    await screen.shows(prompt);
    screen.type(`sh -c 'echo begin""s; exec sleep 1000'\r`);
    await screen.shows(/begins\r\n/);
    screen.type(ctrlC);
    await screen.shows(/\^C/);
    screen.type('echo code $?.\r');
    await screen.shows(/code 130\./);
    screen.type('exit 5\r');
    assert.equal(await isAsItWas(screen), '5');
    assert.doesNotMatch(screen.text, /cancelling/);
  });

  test('is as it was after a deadline', async () => {
    using screen = inShell(`$KOMPOSE --timeout 2 app exec -it api sh -c 'echo begins; exec sleep 1000'`);
    await screen.shows(/begins\r\n/);
    assert.equal(await isAsItWas(screen), '1');
  });

  test('./kompose.sh exec -it gets one too', async () => {
    using screen = here.screenOf(['./kompose.sh', 'app', 'exec', '-it', 'api', 'sh']);
    await screen.shows(prompt);
    screen.type('tty; exit 4\r');
    await screen.shows(/\/dev\/pts\/\d+\r\n/);
    assert.equal(await screen.ends(), 4);
  });

  test('asks before down on several targets', async () => {
    using screen = here.screen(['*', 'down']);
    await screen.shows(/:app\r\n.*:other\r\n.*\[y\/N\] /s);
    screen.type('n\r');
    await screen.shows(/not confirmed: nothing was done/);
    assert.equal(await screen.ends(), 1);
  });
});

describe('an end before its time', { timeout: 120_000 }, () => {
  test('the first Ctrl-C cancels: processes end, the fail hook runs, 130', async () => {
    using screen = here.screen(['app', 'build']);
    await screen.shows(/begins\r\n/);
    screen.type(ctrlC);
    await screen.shows(/cancelling[^]*fail hook of pre[^]*cancelled/);
    assert.equal(await screen.ends(), 130);
  });

  test('the second kills what does not heed the first', async () => {
    using screen = here.screen(['app', 'pull']);
    await screen.shows(/begins\r\n/);
    screen.type(ctrlC);
    await screen.shows(/unmoved/);
    screen.type(ctrlC);
    assert.equal(await screen.ends(5_000), 130);
  });

  for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
    test(`${signal} cancels`, async () => {
      const run = here.kompose(['app', 'build']);
      await shows(run, 'stderr', 'begins');
      run.kill(signal);
      const { exitCode, stderr } = await run;
      assert.deepEqual([exitCode, /fail hook of pre/.test(stderr)], [130, true]);
    });
  }

  test('a run on several targets that is cancelled leaves none out', async () => {
    const run = here.kompose(['*', 'build']);
    await shows(run, 'stderr', 'begins');
    run.kill('SIGINT');
    const { exitCode, stderr } = await run;
    assert.equal(exitCode, 130);
    assert.match(stderr, /cancelled +\S+:app .*\n.*cancelled +\S+:other .*not started/s);
  });

  test('SIGKILL ends every process of the steps all the same; until then it has the lock, and nothing is left', async () => {
    const killed = here.kompose(['app', 'stop']);
    await shows(killed, 'stderr', 'begins');
    killed.kill('SIGKILL');
    await killed;
    assert.notEqual((await processesIn('app')).length, 0);
    const { stderr, exitCode } = await here.kompose(['-e', 'SECOND=1', 'app', 'stop', '--timeout', '0']);
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /waits for run .*\(stop by /);
    assert.doesNotMatch(stderr, /too early/);
    assert.equal((await here.kompose(['app', 'start'])).exitCode, 0);
  });

  test('SIGKILL ends what a hook began in another stack, too', async () => {
    const killed = here.kompose(['app', 'kill']);
    await shows(killed, 'stderr', 'begins');
    await until('each of the two is watched', async () => (await watchdogs()).length === 2);
    killed.kill('SIGKILL');
    await killed;
  });

  test('SIGKILL ends them with no shell above, whatever ~/.bashrc says', async () => {
    const home = await mkdtemp(join(here.temp, 'home-'));
    await writeFile(join(home, '.bashrc'), 'exit 0\n');
    const killed = here.kompose(['app', 'build'], { env: { HOME: home } });
    await shows(killed, 'stderr', 'begins');
    killed.kill('SIGKILL');
    await killed;
  });

  test('SIGKILL ends what exec and run began in containers', async () => {
    const began = ['sh', '-c', 'echo begins; exec sleep 4321'];
    const killed = [
      here.kompose(['app', 'exec', '-T', 'api', ...began]),
      here.kompose(['app', 'run', '--rm', '-T', 'api', ...began]),
    ];
    await Promise.all(killed.map((each) => shows(each, 'stdout', 'begins')));
    assert.equal((await sleepersInContainers()).length, 2);
    for (const each of killed) each.kill('SIGKILL');
    await Promise.all(killed);
    await until('nothing is left inside', async () => (await sleepersInContainers()).length === 0, 30_000);
  });

  test('what reads ends with its reader, what changes goes on', async () => {
    const logs = await here.bash('$KOMPOSE app exec -T api yes | head -n 1; echo ${PIPESTATUS[0]}');
    assert.equal(logs.stdout, 'y\n141\n');
    const change = await here.bash('$KOMPOSE app create 2>&1 | head -n 3 >/dev/null; echo ${PIPESTATUS[0]}');
    assert.equal(change.stdout, '0\n');
    assert.equal(await readFile(join(here.path, 'app/done'), 'utf8'), '');
  });
});
