import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LocalRoot } from '../e2e/local-root.ts';
import { idleService, jsonLines, shows } from '../e2e/support.ts';

/** Section 9 of the command contract: what local mode does. How it ends: 09-local-mode-ends.test.ts. */

let here: LocalRoot;
const host = hostname();

before(async () => {
  here = await LocalRoot.start();
  await here.write({
    'one/compose.yaml': `${idleService}    environment: [TAG, FROM_HOOK]\n`,
    'one/.env': 'TAG=from-file\nONLY_ONE=1\nAPI_TOKEN=swordfish\n',
    'one/hooks.sh': `hook_pre_up() { export FROM_HOOK="hook $*"; }
hook_post_restart() { "$SCRIPT_DIR/kompose.sh" two restart; }
hook_pre_top() { "$SCRIPT_DIR/kompose.sh" two top; }
hook_pre_port() {
  x=$("$SCRIPT_DIR/kompose.sh" two exec -T api printf 'a\\n\\001b'); printf 'x=%q\\n' "$x"
  "$SCRIPT_DIR/kompose.sh" two exec -T api wc -c <"$SCRIPT_DIR/one/compose.yaml"
  printf 12345 | "$SCRIPT_DIR/kompose.sh" two exec -T api wc -c
  "$SCRIPT_DIR/kompose.sh" two exec -T api sh -c 'exit 9'; echo "code $?"
}
hook_pre_images() { echo "token $API_TOKEN"; }
`,
    'two/compose.yaml': idleService,
    'two/hooks.sh': `hook_pre_restart() { echo "two: \${ONLY_ONE-unset} \${CALLERS-unset} E=$E"; }
hook_pre_top() { "$SCRIPT_DIR/kompose.sh" one top; }
hook_pre_images() { echo "TAG=$TAG"; }
hook_pre_pull() { return 3; }
hook_pre_build() { sleep 1000; }
`,
    'hosts/compose.yaml': idleService,
  });
});

after(() => here[Symbol.asyncDispose]());

describe('the same command runs here and now', { timeout: 120_000 }, () => {
  test('a dry run plans and writes nothing, kompose.sh neither', async () => {
    const { stdout, exitCode } = await here.kompose(['-n', 'one', 'up', '-d']);
    assert.equal(exitCode, 0);
    assert.match(stdout, /hook_pre_up up -d\n.*docker compose up -d/s);
    assert.deepEqual((await readdir(here.path)).toSorted(), ['hosts', 'one', 'two']);
  });

  test('a dry run without docker compose plans all the same, and says what is missing', async () => {
    const without = (words: string) =>
      here.bash(`bin=$(mktemp -d) && ln -s "$(type -P bash)" "$bin" && PATH=$bin exec $KOMPOSE ${words}`);
    const { stdout, stderr, exitCode } = await without('-n one up -d');
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /hook_pre_up up -d\n.*docker compose up -d/s);
    assert.match(stderr, /no docker compose on this host: install/);
    const run = await without('one up -d');
    assert.deepEqual([run.exitCode, /no docker compose on this host/.test(run.stderr)], [1, true]);
  });

  test('runs hooks and compose, one stack by one, each line with its target', async () => {
    const { stderr, exitCode } = await here.kompose(['{one,two}', 'up', '-d']);
    assert.equal(exitCode, 0, stderr);
    const running = await here.rig.docker('here', ['ps', '--format', '{{.Names}}']);
    assert.deepEqual(running.split('\n').toSorted(), ['one-api-1', 'two-api-1']);
    assert.match(stderr, /one \| .*one-api-1 +Started\n(?:.*\n)*.*two \| .*two-api-1 +Started\n/);
    assert.match(stderr, /2 targets: 2 succeeded in .*\n$/);
  });

  test("the caller's whole environment is the lowest layer: TAG=v2 kompose sexy up", async () => {
    const exec = ['one', 'exec', '-T', 'api', 'sh', '-c', 'echo "$TAG, $FROM_HOOK"'];
    assert.equal((await here.kompose(exec)).stdout, 'from-file, hook up -d\n');
    const { stderr } = await here.bash('TAG=v2 $KOMPOSE two images');
    assert.match(stderr, /^TAG=v2$/m);
  });

  test('patterns mean what they mean on a fleet, this machine being the host', async () => {
    for (const [pattern, stacks] of [
      ['*,!two,!:hosts', ['one']],
      [`${host}:*o*`, ['hosts', 'one', 'two']],
      [':hosts', ['hosts']],
    ] as const) {
      const { stdout } = await here.kompose(['-o', 'json', '-n', pattern, 'ps']);
      const targets = jsonLines(stdout)[0]?.targets ?? [];
      assert.deepEqual(
        targets.map((target) => `${target.host}:${target.stack}`),
        stacks.map((stack) => `${host}:${stack}`),
        pattern,
      );
    }
    const elsewhere = await here.kompose(['-H', 'elsewhere', 'one', 'ps']);
    assert.deepEqual([elsewhere.exitCode, elsewhere.stderr.includes(`this one is ${host}`)], [3, true]);
  });

  test('a mistake has its exit code, and the nearest name', async () => {
    const near = await here.kompose(['on', 'ps']);
    assert.deepEqual([near.exitCode, near.stderr.includes('did you mean one?')], [3, true]);
    const far = await here.kompose(['nowhere-near', 'ps']);
    assert.deepEqual([far.exitCode, far.stderr.includes('(kompose --list shows what is there)')], [3, true]);
    const attached = await here.kompose(['*', 'up']);
    assert.deepEqual([attached.exitCode, attached.stderr.includes('give it -d')], [2, true]);
    assert.equal((await here.kompose(['two', 'pull'])).exitCode, 1);
    assert.equal((await here.kompose(['two', 'exec', '-T', 'api', 'sh', '-c', 'exit 9'])).exitCode, 9);
  });

  test('-o json prints the events, -q drops what is kompose own', async () => {
    const { stdout } = await here.kompose(['-o', 'json', 'two', 'ps', '--services']);
    assert.deepEqual(
      jsonLines(stdout).map(({ type }) => type),
      [
        'run.started',
        'task.started',
        'step.started',
        'output',
        'step.finished',
        'task.finished',
        'run.finished',
      ],
    );
    const quiet = await here.kompose(['-q', '{one,two}', 'ps', '--services']);
    assert.deepEqual(quiet.stdout.split('\n').toSorted(), ['', `${host}:one | api`, `${host}:two | api`]);
    assert.equal(quiet.stderr, '');
  });

  test('--list and stacks show what is there, and what of it is up', async () => {
    const listed = await here.kompose(['-o', 'json', '-l', 'one']);
    const hooks = ['hook_pre_images', 'hook_pre_port', 'hook_pre_top', 'hook_post_restart', 'hook_pre_up'];
    const [row, ...more] = jsonLines(listed.stdout) as unknown as { hooks: string[] }[];
    assert.deepEqual([row?.hooks.toSorted(), more], [hooks.toSorted(), []]);
    const rest = { composeFile: 'compose.yaml', env: true, dumps: 0, services: ['api'], online: true };
    assert.deepEqual({ ...row, hooks: [] }, { host, stack: 'one', hooks: [], ...rest });
    const table = await here.kompose(['stacks']);
    assert.match(table.stdout, /^HOST .*SERVICES UP\n.* hosts .*-\n.* one .*api\n.* two .*api\n$/s);
    assert.equal((await here.kompose(['--local', 'stacks', 'nothing'])).exitCode, 3);
  });

  test('--max-failures leaves what was not started cancelled', async () => {
    const { stdout, exitCode } = await here.kompose([
      '-o',
      'json',
      '--max-failures',
      '0',
      '*',
      'exec',
      '-T',
      'api',
      'false',
    ]);
    const ends = jsonLines(stdout).filter(({ type }) => type === 'task.finished');
    assert.deepEqual([exitCode, ends.map(({ state }) => state)], [1, ['failed', 'cancelled', 'cancelled']]);
  });

  test('--parallel bounds reading commands; --batch and --offline say nothing here', async () => {
    const options = ['--parallel', '1', '--batch', '1', '--batch-wait', '1m', '--offline', 'wait=1m'];
    const { stdout } = await here.kompose(['-o', 'json', ...options, '*', 'config', '-q']);
    const steps = jsonLines(stdout).flatMap(({ type }) => (type.startsWith('step') ? [type] : []));
    assert.deepEqual(steps, Array.from({ length: 3 }, () => ['step.started', 'step.finished']).flat());
  });

  test('--timeout ends a task', async () => {
    const { stderr, exitCode } = await here.kompose(['--timeout', '2s', 'two', 'build']);
    assert.deepEqual([exitCode, /timed-out after .*hook_pre_build/.test(stderr)], [1, true]);
  });

  test('a secret is masked', async () => {
    assert.match((await here.kompose(['one', 'images'])).stderr, /^token \[redacted\]$/m);
  });

  test('a database command knows that there is no database', async () => {
    const { stderr, exitCode } = await here.kompose(['two', 'db:export']);
    assert.deepEqual([exitCode, /skipped: it has no database/.test(stderr)], [0, true]);
  });
});

describe('stdin and stdout of exec', { timeout: 60_000 }, () => {
  test('are exact, from a pipe and from a file, both ways at once', async () => {
    const bytes = randomBytes(3_000_000).toString('hex');
    const { stdout, exitCode } = await here.kompose(['two', 'exec', '-T', 'api', 'cat'], { input: bytes });
    assert.equal(exitCode, 0);
    assert.ok(stdout === bytes);
    const file = await here.bash('$KOMPOSE two exec -T api cat <one/compose.yaml | cmp - one/compose.yaml');
    assert.equal(file.exitCode, 0, file.stdout);
  });

  test('the client ends with the action while its stdin is open', async () => {
    const exec = ['two', 'exec', '-T', 'api', 'echo', 'ended'];
    const { stdout, exitCode } = await here.kompose(exec, { isStdinOpen: true });
    assert.deepEqual([stdout, exitCode], ['ended\n', 0]);
  });
});

describe('kompose.sh', { timeout: 60_000 }, () => {
  test('chains, and inherits -e and nothing else of the hook', async () => {
    const { stderr, exitCode } = await here.kompose(['-e', 'E=5', 'one', 'restart'], {
      env: { CALLERS: '1' },
    });
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /two: unset unset E=5/);
    assert.equal((await stat(join(here.path, 'kompose.sh'))).mode & 0o777, 0o755);
  });

  test('gives a hook its bytes, takes its stdin and tells its exit code', async () => {
    const { stderr } = await here.kompose(['one', 'port', 'api', '1']);
    const bytes = (await readFile(join(here.path, 'one/compose.yaml'))).length;
    const own = stderr.split('\n').filter((line) => /^(?:x=|\d+$|code )/.test(line));
    assert.deepEqual(own, [`x=$'a\\n\\001b'`, String(bytes), '5', 'code 9']);
  });

  test('refuses a chain that comes back', async () => {
    const { stderr, exitCode } = await here.kompose(['one', 'top']);
    assert.equal(exitCode, 1);
    assert.match(stderr, /refused: one is at work in this chain already \(one -> two -> one\)/);
  });

  test('typed by a person is the same command, and any name is a stack', async () => {
    assert.equal((await here.script(['one', 'ps', '--services'])).stdout, 'api\n');
    assert.match((await here.script(['two', 'images'], { env: { TAG: 'v3' } })).stderr, /^TAG=v3$/m);
    assert.equal((await here.script(['hosts', 'config', '--services'])).stdout, 'api\n');
    assert.match((await here.script(['-l', 'tw*'])).stdout, / two /);
    const several = await here.script(['{one,two}', 'ps', '--services']);
    assert.deepEqual(several.stdout.split('\n').toSorted(), ['', `${host}:one | api`, `${host}:two | api`]);
  });
});

describe('local mode is chosen', { timeout: 60_000 }, () => {
  test('by --local and KOMPOSE_STACKS from anywhere', async () => {
    const env = { KOMPOSE_STACKS: here.path };
    for (const option of [['--local'], []]) {
      const { stdout } = await here.kompose([...option, 'one', 'ps', '--services'], { cwd: '/', env });
      assert.equal(stdout, 'api\n');
    }
  });

  test('not where there is no stacks root, nor where a controller is named', async () => {
    const none = await here.kompose(['--local', 'one', 'ps'], { cwd: '/' });
    assert.deepEqual([none.exitCode, none.stderr.includes('is no stacks root')], [3, true]);
    assert.equal((await here.kompose(['one', 'ps'], { cwd: '/' })).exitCode, 5);
    const named = await here.kompose(['one', 'ps'], { env: { KOMPOSE_CONTROLLER: '127.0.0.1:1' } });
    assert.deepEqual([named.exitCode, /not logged in/.test(named.stderr)], [5, true]);
  });

  test('what only a controller can do is refused', async () => {
    for (const option of [['--detach'], ['-L', 'env=prod']]) {
      const { exitCode, stderr } = await here.kompose([...option, 'one', 'ps']);
      assert.deepEqual([exitCode, /needs a controller/.test(stderr)], [2, true]);
    }
    for (const noun of ['hosts', 'runs', 'audit', 'users', 'tokens', 'whoami']) {
      const { exitCode, stderr } = await here.kompose([noun]);
      assert.deepEqual([noun, exitCode, /not logged in to a controller/.test(stderr)], [noun, 5, true]);
    }
  });
});

describe('locks', { timeout: 60_000 }, () => {
  test('hold between two runs here, and say for whom a task waits', async () => {
    const first = here.kompose(['two', 'build']);
    await shows(first, 'stderr', 'hook_pre_build');
    const second = here.kompose(['two', 'restart']);
    await shows(second, 'stderr', 'waits for run');
    first.kill('SIGTERM');
    assert.equal((await first).exitCode, 130);
    assert.equal((await second).exitCode, 0);
  });

  test('a wait that would close a circle between two runs is refused, naming both', async () => {
    const meet = (own: string, other: string): string => `hook_pre_restart() {
      touch "$SCRIPT_DIR/${own}/here"
      until [[ -e "$SCRIPT_DIR/${other}/here" ]]; do sleep 0.05; done
      "$SCRIPT_DIR/kompose.sh" ${other} restart
    }\n`;
    for (const [own, other] of [
      ['left', 'right'],
      ['right', 'left'],
    ] as const)
      await here.write({ [`${own}/compose.yaml`]: idleService, [`${own}/hooks.sh`]: meet(own, other) });
    const runs = await Promise.all(['left', 'right'].map((stack) => here.kompose([stack, 'restart'])));
    assert.ok(runs.some(({ exitCode }) => exitCode === 1));
    const circle =
      /both would wait for ever: run (\w+) for \w+ would wait for run (\w+), and run \w+ for \w+ waits/;
    assert.ok(
      runs.some(({ stderr }) => circle.test(stderr)),
      runs.map(({ stderr }) => stderr).join(),
    );
  });

  test('nothing of them nor of the tasks is left behind', async () => {
    const locks = join(here.path, '.kompose', 'locks');
    for (const each of await readdir(locks)) assert.deepEqual(await readdir(join(locks, each)), []);
    const left = (await readdir(here.temp)).filter((name) => name.startsWith('kompose-'));
    assert.deepEqual(left, []);
  });
});
