import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, chown, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Bench, type RecordedTask, type StackFiles } from './bench.ts';

async function run(t: TestContext, files: StackFiles): Promise<RecordedTask> {
  const bench = await Bench.create(t);
  await bench.stack('sexy', files);
  return bench.run();
}

function preHook(body: string): string {
  return `hook_pre_up() {\n${body}\n}\n`;
}

describe('what a pre hook exports', () => {
  const action = 'printf "<%s>" "${A-unset}"';

  const passedOn: readonly [title: string, body: string][] = [
    ['plainly', 'export A=1'],
    ['and assigns later', 'export A; A=1'],
    ['under set -eux', 'set -eux; export A=1'],
    ['under set -euo pipefail', 'set -euo pipefail; true | cat; export A=1'],
    ['under set -e beside a name without a value', 'set -eE; trap "echo CAUGHT" ERR; export A=1 ZZZ'],
    ['under set -C and set -f', 'set -Cf; export A=1'],
    ['under set -o posix', 'set -o posix; export A=1'],
    ['under set -a', 'set -a; A=1'],
    ['under set -u beside a variable that is not set', 'set -u; export A=1 B; unset B'],
    ['under shopt -s extdebug', 'shopt -s extdebug; export A=1'],
    ['under shopt -s extdebug and a DEBUG trap', "shopt -s extdebug; trap 'echo T' DEBUG; export A=1"],
    ['under DEBUG, RETURN and ERR traps', "set -ET; trap 'echo T' DEBUG RETURN ERR; export A=1; false; true"],
    ['beside functions named as builtins', 'printf() { :; }; set() { :; }; compgen() { :; }; export A=1'],
    ['with stdout and stderr closed', 'export A=1; exec 1>&- 2>&-'],
    ['with stdout in a file', 'export A=1; exec >log; echo hi'],
    ['and removes itself', 'export A=1; unset -f hook_pre_up'],
    ['elsewhere, with a umask', 'export A=1; cd /; umask 777'],
    ['under a small ulimit', 'export A=1; ulimit -c 0; ulimit -f 64'],
    [
      'beside arrays, functions and references',
      'declare -ax L=(1 2); f() { :; }; export -f f; declare -nx R=A; export A=1',
    ],
    ['beside a value of 100,000 bytes', 'export A=1 BIG=$(printf "%0100000d" 0)'],
    ['and ends by a signal that it takes', 'export A=1; trap "exit 0" TERM; kill -TERM $$; sleep 5'],
    ['with another IFS', 'export A=1; IFS=A'],
    ['read-only', 'declare -grx A=1'],
    ['and returns 0', 'export A=1; return 0'],
    ['and exits 0', 'export A=1; exit 0'],
    ['and exits 0 from a function', 'done_() { exit 0; }; export A=1; done_'],
    ['and replaces the shell', 'export A=1; exec true'],
    ['and replaces the shell inside an if', 'export A=1; if true; then exec true; fi'],
    ['and opens a file with exec', 'exec 3>&1; export A=1'],
    ['under an EXIT trap of its own', "trap 'true' EXIT; export A=1"],
    ['under an EXIT trap of its own, and exits 0', "trap 'true' EXIT; export A=1; exit 0"],
    ['under an EXIT trap of its own, and exits behind &&', "trap 'true' EXIT; export A=1; true && exit 0"],
    ['under an EXIT trap of its own and set -e', "set -e; trap 'true' EXIT; export A=1"],
    ['and replaces the shell in a function of its own', 'inner() { export A=1; exec true; }; inner'],
    [
      'under an EXIT trap, and exits in a function of its own',
      "trap 'true' EXIT; inner() { exit 0; }; export A=1; inner",
    ],
    ['beside a subshell that exports another', 'export A=1; (export A=2; exit 0); (exec true)'],
    ['beside a subshell in the background', 'export A=1; (export A=2; exit 0) & wait'],
  ];
  for (const [title, body] of passedOn) {
    test(`reaches the action: ${title}`, async (t) => {
      const task = await run(t, { hooks: preHook(body), action });
      const { state, reason } = task.end;
      const shown = task.output('action', 'stdout');
      assert.deepEqual({ state, reason, shown }, { state: 'succeeded', reason: '', shown: '<1>' });
      assert.doesNotMatch(task.output('pre'), /CAUGHT|kompose/);
    });
  }

  test('reaches the action when the file exports it by itself', async (t) => {
    const task = await run(t, { hooks: `export A=1\n${preHook(':')}`, action });
    assert.equal(task.output('action'), '<1>');
  });

  test('reaches the action and the post hook byte for byte', async (t) => {
    const value = `a=b "c" 'd' $e \\n *\n\tsecond line  日本 `;
    const hooks = `hook_pre_up() { export A="$(cat value; echo .)"; A=\${A%.}; }\nhook_post_up() { printf '<%s>' "$A"; }`;
    const task = await run(t, { hooks, action, files: { value } });
    assert.equal(task.output('action'), `<${value}>`);
    assert.equal(task.output('post'), `<${value}>`);
  });

  test('can unset what a file has set', async (t) => {
    const task = await run(t, {
      hooks: preHook('unset A; export -n B'),
      action: 'echo "<${A-unset}${B-unset}>"',
      env: 'A=1\nB=2\n',
    });
    assert.equal(task.output('action').trim(), '<unsetunset>');
  });

  test('cannot change SCRIPT_DIR and stack', async (t) => {
    const hooks = preHook('export SCRIPT_DIR=/ stack=other; unset SCRIPT_DIR');
    const task = await run(t, { hooks, action: 'echo "$SCRIPT_DIR $stack"' });
    assert.match(task.output('action'), /^\/tmp\/.*\/stacks sexy\n$/);
  });

  test('fails the step after it, with the reason, when it is too long for any program', async (t) => {
    const task = await run(t, { hooks: preHook('export A=$(printf "%01000000d" 0)'), action });
    assert.equal(task.end.state, 'failed');
    assert.match(task.end.reason, /docker could not be started: .*E2BIG/);
  });

  test('does not reach another task', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy', { hooks: preHook('export A=1') });
    await bench.stack('news', { action });
    await bench.run();
    assert.equal((await bench.run({ stack: 'news' })).output('action'), '<unset>');
  });
});

describe('a hook', () => {
  test('sees the command and its arguments byte for byte', async (t) => {
    const bench = await Bench.create(t);
    const folder = await bench.stack('sexy', { hooks: preHook('printf "%s\\0" "$@" >seen') });
    const args = ['', 'a b', '$(id)', '*', "'", '"', '\\', 'x\ny', '-d', '--', '日本'];
    await bench.run({ args });
    assert.deepEqual((await readFile(join(folder, 'seen'), 'utf8')).split('\0').slice(0, -1), [
      'up',
      ...args,
    ]);
  });

  test('runs in the stack’s folder with empty stdin and the variables of the contract', async (t) => {
    const bench = await Bench.create(t);
    const names =
      '$KOMPOSE_RUN_ID $KOMPOSE_TASK_ID $KOMPOSE_HOST $KOMPOSE_STACK $KOMPOSE_COMMAND $KOMPOSE_HOOK $KOMPOSE_USER';
    const body = `cat; pwd; echo "${names}"; echo "$SCRIPT_DIR $stack $COMPOSE_PROJECT_NAME"; echo "$-"`;
    const folder = await bench.stack('se.xy', { hooks: preHook(body) });
    const task = await bench.run({ stack: 'se.xy', run: 'R1', task: 'H1' });
    const expected = [folder, 'R1 H1 prod-1 se.xy up hook_pre_up ada', `${bench.root} se.xy sexy`, 'hBc'];
    assert.deepEqual(task.output('pre').trim().split('\n'), expected);
  });

  test('that fails fails the task, and nothing after it runs', async (t) => {
    const hooks = `${preHook('exit 7')}\nhook_post_up() { :; }`;
    const task = await run(t, { hooks, action: 'echo ran' });
    const { state, exitCode, actionDecided, reason } = task.end;
    assert.deepEqual(
      { state, exitCode, actionDecided, reason },
      { state: 'failed', exitCode: 7, actionDecided: false, reason: 'hook_pre_up ended with exit code 7' },
    );
    assert.deepEqual(task.steps, ['hook_pre_up']);
  });

  test('that fails after the action fails the task', async (t) => {
    const task = await run(t, { hooks: 'hook_post_up() { return 3; }' });
    assert.deepEqual(task.steps, ['docker compose up', 'hook_post_up']);
    assert.equal(task.end.state, 'failed');
    assert.equal(task.end.actionDecided, false);
  });

  test('does not run after an action that failed', async (t) => {
    const task = await run(t, { hooks: 'hook_post_up() { :; }', action: 'exit 9' });
    assert.deepEqual(task.steps, ['docker compose up']);
    assert.equal(task.end.exitCode, 9);
    assert.equal(task.end.actionDecided, true);
  });

  test('for failure hears which step failed, and changes nothing', async (t) => {
    const fail = 'hook_fail_up() { echo "$1 $KOMPOSE_FAILED_STEP $KOMPOSE_EXIT_CODE $A"; return 5; }';
    const task = await run(t, { hooks: `${preHook('export A=1')}\n${fail}`, action: 'exit 9' });
    assert.equal(task.output('fail').trim(), 'up action 9 1');
    assert.equal(task.end.exitCode, 9);
  });

  test('that a signal ends has 128 + n', async (t) => {
    assert.equal((await run(t, { hooks: preHook('kill -KILL $$') })).end.exitCode, 137);
  });

  test('has its file’s digest in its record', async (t) => {
    const task = await run(t, { hooks: preHook('echo hi') });
    const record = task.events.find((event) => event.type === 'step.finished');
    assert.match(record?.hookSha256 ?? '', /^[0-9a-f]{64}$/);
    assert.equal(record?.outputSha256, '98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4');
  });
});

describe('a hook that is not there', () => {
  const showsOnlyTheAction = (task: RecordedTask): void => {
    assert.deepEqual(task.steps, ['docker compose up']);
    assert.deepEqual(task.notices, []);
    assert.equal(task.output(), '');
    assert.equal(task.end.state, 'succeeded');
  };

  test('is nothing, and its file is not sourced', async (t) => {
    const bench = await Bench.create(t);
    const folder = await bench.stack('sexy', { hooks: 'touch sourced\nhook_pre_down() { :; }\n' });
    showsOnlyTheAction(await bench.run());
    await assert.rejects(stat(join(folder, 'sourced')), { code: 'ENOENT' });
  });

  test('is nothing where the files that hooks.sh sources do not define it either', async (t) => {
    showsOnlyTheAction(await run(t, { hooks: 'source ./lib.sh\n', files: { 'lib.sh': 'log() { :; }\n' } }));
  });

  test('is nothing where the file defines it on a condition that does not hold', async (t) => {
    showsOnlyTheAction(await run(t, { hooks: `if false; then\n${preHook('echo ran')}fi\n` }));
  });

  test('is nothing where only a text looks like it', async (t) => {
    showsOnlyTheAction(await run(t, { hooks: 'cat <<END >/dev/null\nhook_pre_up ()\nEND\n' }));
  });
});

describe('a hook in a sourced file', () => {
  const lines = [
    'source ./lib.sh',
    '. lib.sh',
    '[[ -e lib.sh ]] && . ./lib.sh',
    'if source ./lib.sh; then :; fi',
    'while ! . ./lib.sh; do exit 1; done',
    '! . ./lib.sh',
    'eval "$(cat lib.sh)"',
    'for file in lib.sh; do . "./$file"; done',
    'LIB=1 . ./lib.sh',
  ];
  for (const line of lines) {
    test(`runs: ${line}`, async (t) => {
      const lib = 'hook_pre_up() { echo "from lib: $*"; export A=1; }\n';
      const task = await run(t, {
        hooks: `PATH=$PATH:.\n${line}\n`,
        files: { 'lib.sh': lib },
        action: 'echo "A=$A"',
      });
      assert.deepEqual(task.steps, ['hook_pre_up', 'docker compose up']);
      assert.equal(task.output('pre'), 'from lib: up -d\n');
      assert.equal(task.output('action'), 'A=1\n');
    });
  }

  test('is planned as uncertain, and not sourced, in a dry run', async (t) => {
    const bench = await Bench.create(t);
    const folder = await bench.stack('sexy', {
      hooks: 'touch sourced\nsource ./lib.sh\n',
      files: { 'lib.sh': preHook(':') },
    });
    const task = await bench.run({ dryRun: true });
    const planned = task.events.flatMap((event) =>
      event.type === 'plan.step' ? [`${event.name}${event.uncertain ? '?' : ''}`] : [],
    );
    assert.deepEqual(planned, ['hook_pre_up?', 'docker compose up', 'hook_post_up?', 'hook_fail_up?']);
    await assert.rejects(stat(join(folder, 'sourced')), { code: 'ENOENT' });
  });
});

describe('tracing in a hook', () => {
  const files: readonly [title: string, hooks: string][] = [
    ['set -x at the top', `set -x\n${preHook('echo hi')}`],
    ['set -x in the hook', preHook('set -x; echo hi')],
    ['set -x and exec', `set -x\n${preHook('echo hi; exec true')}`],
    ['set -x in the hook, and exec', preHook('set -x; echo hi; exec true')],
    ['set -x and a trap', `set -x\n${preHook("trap 'echo bye' EXIT; echo hi")}`],
    ['set -x in the hook, a trap and exit', preHook("set -x; trap 'echo bye' EXIT; echo hi; exit 0")],
    ['set -ex and exit', `set -ex\n${preHook('echo hi; exit 0')}`],
    ['set -ex and a failure', `set -ex\n${preHook('echo hi; false; echo no')}`],
    ['set -x and a helper', `set -x\nhelp() { echo helped; }\n${preHook('help; exec true')}`],
    ['set -x, then set +x', `set -x\n${preHook('set +x; echo quiet; exec true')}`],
    ['another PS4', `PS4='TRACE '; set -x\n${preHook('echo hi')}`],
    ['a RETURN trap', preHook("trap 'echo RET' RETURN; echo hi")],
    ['a DEBUG trap', preHook("trap 'echo DEBUG' DEBUG; echo hi")],
    ['an ERR trap', `set -E\n${preHook("trap 'echo ERR' ERR; echo hi; false; true")}`],
    ['an ERR trap, and a failure', preHook("trap 'echo ERR >>trace' ERR; return 3")],
    ['a DEBUG trap at the top', `trap 'echo DEBUG' DEBUG\n${preHook('echo hi')}`],
    ['a PS4 with a command', `PS4='+ $(echo $LINENO) '\n${preHook('set -x; echo hi')}`],
    ['set -v at the top', `set -v\n${preHook('echo hi')}`],
    ['set -v in the hook', preHook('set -v; echo hi')],
    ['functions named as builtins', `printf() { echo MINE; }; trap() { echo MINE; }\n${preHook('echo hi')}`],
    ...[
      ['', 'echo hi'],
      [', and exit', 'echo hi; exit 0'],
      [', and a failure', 'set -eu; echo hi; false'],
      [', and a trap', "trap 'echo bye' EXIT; exit 0"],
      [', and exec', "exec sh -c 'echo still open >&5'"],
      [', unset again', 'unset BASH_XTRACEFD; echo hi'],
    ].flatMap(([what = '', body = '']): [string, string][] => {
      const on = 'exec 5>trace; BASH_XTRACEFD=5; set -x';
      return [
        [`BASH_XTRACEFD at the top${what}`, `${on}\n${preHook(body)}`],
        [`BASH_XTRACEFD in the hook${what}`, preHook(`${on}; ${body}`)],
      ];
    }),
  ];
  for (const [title, hooks] of files) {
    test(`shows what it shows by hand: ${title}`, async (t) => {
      const bench = await Bench.create(t);
      const cwd = await bench.stack('sexy', { hooks });
      const trace = async (): Promise<string> => {
        const text = await readFile(join(cwd, 'trace'), 'utf8').catch(() => '');
        await rm(join(cwd, 'trace'), { force: true });
        // The call of the hook is not the file's own line.
        return text.replace(/^\+ hook_pre_up up -d\n/m, '');
      };
      const task = await bench.run();
      const traced = await trace();
      const script = 'source ./hooks.sh; hook_pre_up "$@"';
      const byHand = spawnSync('bash', ['--norc', '-c', script, 'x', 'up', '-d'], { cwd, encoding: 'utf8' });
      // The call of the hook is not the file's own line.
      const expected = byHand.stderr.replace(/^(?:\+(?: \d+)?|TRACE) hook_pre_up up -d\n/m, '');
      assert.equal(task.output('pre', 'stderr'), expected);
      assert.equal(
        task.output('pre', 'stdout').replace(/^DEBUG\n/, ''),
        byHand.stdout.replace(/^DEBUG\n/, ''),
      );
      assert.equal(traced, await trace());
    });
  }
});

describe('hooks.sh', () => {
  test('with a syntax error fails the task with bash’s line before anything runs', async (t) => {
    const bench = await Bench.create(t);
    const hooks = `touch sourced\n${preHook('echo hi')}if then\n`;
    const folder = await bench.stack('sexy', { hooks, action: 'touch ran' });
    const task = await bench.run();
    assert.equal(task.end.state, 'failed');
    assert.match(
      task.end.reason,
      /^syntax error in hooks\.sh: .*line 5: syntax error near unexpected token `then'/,
    );
    assert.deepEqual(task.steps, []);
    for (const file of ['sourced', 'ran']) await assert.rejects(stat(join(folder, file)), { code: 'ENOENT' });
  });

  test('that is not executable runs, with one hint', async (t) => {
    const bench = await Bench.create(t);
    const folder = await bench.stack('sexy', {
      hooks: `${preHook('echo hi')}hook_post_up() { :; }`,
      mode: 0o640,
    });
    const task = await bench.run();
    const path = join(folder, 'hooks.sh');
    assert.deepEqual(task.notices, [
      `${path} is not executable; it runs all the same. To mend: chmod 750 ${path}`,
    ]);
    assert.equal(task.end.state, 'succeeded');
    assert.equal(task.output('pre'), 'hi\n');
  });

  test('that everybody may write is refused until it is mended', async (t) => {
    const bench = await Bench.create(t);
    const folder = await bench.stack('sexy', { hooks: preHook('echo hi'), mode: 0o777 });
    const task = await bench.run();
    const path = join(folder, 'hooks.sh');
    assert.equal(task.end.state, 'failed');
    assert.equal(task.end.reason, `${path} is writable by everybody: run chmod o-w ${path}`);
    assert.deepEqual(task.steps, []);
    await chmod(path, 0o755);
    assert.equal((await bench.run()).output('pre'), 'hi\n');
  });

  test('of another user is refused', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
    const bench = await Bench.create(t);
    const folder = await bench.stack('sexy', { hooks: preHook('echo hi') });
    const path = join(folder, 'hooks.sh');
    await chown(path, 4242, 4242);
    const task = await bench.run();
    assert.equal(task.end.state, 'failed');
    assert.match(task.end.reason, /belongs to user 4242.*run chown 0 /);
    assert.deepEqual(task.steps, []);
  });

  test('is read anew when it changes', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy', { hooks: preHook('echo one') });
    assert.equal((await bench.run()).output('pre'), 'one\n');
    await bench.stack('sexy', { hooks: preHook('echo two') });
    assert.equal((await bench.run()).output('pre'), 'two\n');
  });
});
