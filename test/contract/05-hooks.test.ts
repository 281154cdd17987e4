import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, chown } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import {
  endFleet,
  idleService,
  jsonLines,
  outputOf,
  processesOf,
  readStackFile,
  runJson,
  shows,
  startFleet,
  writeStacks,
  type EventsOfRun,
} from '../e2e/support.ts';

/*
 * Section 5 of the command contract: its table, row by row. Of every command: 05-hooks-commands. What a cancel and a
 * timeout reach: 05-hooks-stopping. Of databases: 05-hooks-database.
 */
const host = 'prod-1';
const fleet = await startFleet([host]);
after(() => endFleet(fleet));

/** What an exported TAG comes to shows in the action's output: `busybox:1`. */
const tagged = 'services:\n  api:\n    image: busybox:${TAG-unset}\n';
const showTag = ['config', '--images'];
let count = 0;

/** Runs a command on a fresh stack with this hooks.sh. */
async function run(
  hooks: string | undefined,
  [...words]: readonly string[] = showTag,
  [...options]: readonly string[] = [],
): Promise<EventsOfRun & { readonly stack: string; readonly reason: string; readonly state: string }> {
  const stack = `row-${++count}`;
  const files = { 'compose.yaml': tagged, ...(hooks === undefined ? {} : { 'hooks.sh': hooks }) };
  await writeStacks(fleet, { [`${host}:${stack}`]: files });
  const told = await runJson(fleet, [...options, stack, ...words]);
  const { reason = '', state = '' } = told.ends[`${host}:${stack}`] ?? {};
  return { ...told, stack, reason, state };
}

const inFolder = (stack: string, file: string): string => join(fleet.stacks(host), stack, file);
const all = { concurrency: 4, timeout: 60_000 };

describe('process', all, () => {
  it('is a bash and a process group of its own, in the stack’s folder, with empty stdin and plain options', async () => {
    const look = 'echo "$$ $(($(ps -o pgid= $$))) $PWD $(wc -c) $-"';
    const { events, stack } = await run(`hook_pre_config() { ${look}; }\nhook_post_config() { ${look}; }`);
    const [pre = '', post = ''] = ['pre', 'post'].map((step) => outputOf(events, step).trim());
    const [[pid, group, ...rest], [otherPid]] = [pre.split(' '), post.split(' ')];
    assert.deepEqual([group, ...rest], [pid, join(fleet.stacks(host), stack), '0', 'hBc']);
    assert.notEqual(pid, otherPid);
  });
});

describe('arguments', all, () => {
  it('are the command, then all its arguments', async () => {
    const hook = '{ printf "<%s>" "$@"; }';
    const { events } = await run(`hook_pre_config() ${hook}\nhook_post_config() ${hook}`, [
      ...showTag,
      '--format=a b',
    ]);
    for (const step of ['pre', 'post'])
      assert.equal(outputOf(events, step), '<config><--images><--format=a b>');
  });

  it('of hook_fail_* are as those of the post hook, with KOMPOSE_FAILED_STEP and KOMPOSE_EXIT_CODE', async () => {
    const hooks = 'hook_fail_config() { echo "$* $KOMPOSE_FAILED_STEP $KOMPOSE_EXIT_CODE"; }';
    const { events, steps } = await run(hooks, ['config', '--nonsense']);
    assert.deepEqual(steps, ['action failed', 'fail succeeded']);
    assert.equal(outputOf(events, 'fail'), 'config --nonsense action 16\n');
  });
});

describe('missing file or function', all, () => {
  it('runs nothing, is no error, and shows nothing', async () => {
    for (const hooks of [undefined, 'touch sourced\nhook_pre_up() { :; }\n']) {
      const { exitCode, steps, stderr, stack } = await run(hooks);
      assert.deepEqual([exitCode, steps, stderr], [0, ['action succeeded'], '']);
      assert.equal(existsSync(inFolder(stack, 'sourced')), false);
    }
  });
});

describe('ends non-zero', all, () => {
  const hooks = 'hook_pre_config() { return "$PRE"; }\nhook_post_config() { return "$POST"; }';
  const codes = (pre: number, post: number): string[] => ['-e', `PRE=${pre}`, '-e', `POST=${post}`];

  it('pre hook ends non-zero: the task fails; action and post hook do not run', async () => {
    const { exitCode, steps, reason } = await run(hooks, showTag, codes(7, 0));
    assert.deepEqual(
      [exitCode, steps, reason],
      [1, ['pre failed'], 'hook_pre_config ended with exit code 7'],
    );
  });

  it('action ends non-zero: the task fails with its code; no post hook', async () => {
    const { exitCode, steps, ends, stack } = await run(hooks, ['config', '--nonsense'], codes(0, 0));
    assert.deepEqual([exitCode, steps], [1, ['pre succeeded', 'action failed']]);
    assert.equal(ends[`${host}:${stack}`]?.exitCode, 16);
  });

  it('post hook ends non-zero: the task fails; the action stands', async () => {
    const { exitCode, steps, reason } = await run(hooks, showTag, codes(0, 4));
    assert.deepEqual([exitCode, steps], [1, ['pre succeeded', 'action succeeded', 'post failed']]);
    assert.equal(reason, 'hook_post_config ended with exit code 4');
  });
});

describe('fail hook', all, () => {
  const fail = 'hook_fail_config() { echo "$KOMPOSE_FAILED_STEP"; return 9; }';

  it('runs last when a task failed, and its own result changes nothing', async () => {
    const { steps, ends, stack, events } = await run(`hook_pre_config() { return 5; }\n${fail}`);
    assert.deepEqual(steps, ['pre failed', 'fail failed']);
    assert.equal(outputOf(events, 'fail'), 'pre\n');
    assert.equal(ends[`${host}:${stack}`]?.exitCode, 5);
  });

  it('runs when a task timed out', async () => {
    const { steps, state } = await run(`hook_pre_config() { sleep 1000; }\n${fail}`, showTag, [
      '--timeout',
      '1s',
    ]);
    assert.deepEqual([steps, state], [['pre timed-out', 'fail failed'], 'timed-out']);
  });

  it('has a time of its own, beyond the deadline of the task', async () => {
    const hooks = `hook_pre_config() { sleep 1000; }\nhook_fail_config() { sleep 2; echo after all; }`;
    const { steps, events, state } = await run(hooks, showTag, ['--timeout', '1s']);
    assert.deepEqual([steps, state], [['pre timed-out', 'fail succeeded'], 'timed-out']);
    assert.equal(outputOf(events, 'fail'), 'after all\n');
  });

  it('runs when a task was cancelled after its first step began', async () => {
    const hooks = `hook_pre_config() { echo begun; sleep 1000; }\n${fail}`;
    await writeStacks(fleet, { [`${host}:cancelled`]: { 'hooks.sh': hooks } });
    const client = fleet.spawnKompose(['-o', 'json', 'cancelled', ...showTag]);
    await shows(client, 'stdout', 'begun');
    client.kill('SIGINT');
    const { stdout, exitCode } = await client;
    assert.equal(exitCode, 130);
    assert.equal(outputOf(jsonLines(stdout), 'fail'), 'pre\n');
  });

  it('does not run where no step began', async () => {
    const { steps, state } = await run(`${fail}\nif then`);
    assert.deepEqual([steps, state], [[], 'failed']);
  });
});

describe('`exit N` in a hook', all, () => {
  it('is the same as `return N`', async () => {
    for (const word of ['exit', 'return']) {
      const { state, reason } = await run(`hook_pre_config() { ${word} 23; }`);
      assert.deepEqual([state, reason], ['failed', 'hook_pre_config ended with exit code 23']);
    }
    const { events, steps } = await run(`hook_pre_config() { export TAG=1; exit 0; }`);
    assert.deepEqual(steps, ['pre succeeded', 'action succeeded']);
    assert.equal(outputOf(events, 'action'), 'busybox:1\n');
  });
});

describe('the wrapper around a hook', all, () => {
  for (const [what, body] of [
    ['its own traps', "trap 'true' EXIT ERR; trap 'echo D >>trapped' DEBUG; export TAG=1"],
    ['set -eux', 'set -eux; export TAG=1'],
    ['exec', 'export TAG=1; exec true'],
    ['exit 0', 'export TAG=1; exit 0'],
  ] as const) {
    it(`passes exports on under ${what}`, async () => {
      const { events } = await run(`hook_pre_config() { ${body}; }`);
      assert.equal(outputOf(events, 'action'), 'busybox:1\n');
    });
  }

  it('never shows its own lines under set -x', async () => {
    const { events } = await run('set -x\nhook_pre_config() { echo hi; }');
    assert.equal(outputOf(events, 'pre', 'stderr'), '+ echo hi\n');
    const traced = await run('hook_pre_config() { exec 5>trace; BASH_XTRACEFD=5; set -x; echo hi; exit 0; }');
    assert.equal(await readStackFile(fleet, host, traced.stack, 'trace'), '+ echo hi\n+ exit 0\n');
  });
});

describe('in a dry run', all, () => {
  it('hooks are found by parsing, and nothing is sourced or run', async () => {
    const { exitCode, events, stack } = await run('touch ran\nhook_pre_config() { touch ran; }', showTag, [
      '--dry-run',
    ]);
    assert.equal(exitCode, 0);
    const plan = events.filter(({ type }) => type === 'plan.step').map(({ name }) => name);
    assert.deepEqual(plan, ['hook_pre_config', 'docker compose config']);
    assert.equal(existsSync(inFolder(stack, 'ran')), false);
  });

  it('a file that sources others is shown as "may define more"; at run time `declare -F` decides', async () => {
    const stack = 'sourcing';
    await writeStacks(fleet, {
      [`${host}:${stack}`]: {
        'hooks.sh': 'source ./more.sh\n',
        'more.sh': 'hook_pre_config() { echo from another file; }\n',
      },
    });
    const { stdout } = await fleet.kompose([stack, ...showTag, '--dry-run']);
    assert.match(stdout, /hook_pre_config.*may define more/);
    const { steps, events } = await runJson(fleet, [stack, ...showTag]);
    assert.deepEqual(steps, ['pre succeeded', 'action succeeded']);
    assert.equal(outputOf(events, 'pre'), 'from another file\n');
  });
});

describe('syntax error in hooks.sh', all, () => {
  it('fails the task before anything runs, with bash’s line number', async () => {
    const { exitCode, steps, reason, stack } = await run('touch ran\nhook_pre_config() {\n  :\n}\nif then\n');
    assert.deepEqual([exitCode, steps], [1, []]);
    assert.match(reason, /^syntax error in hooks\.sh: line 5: /);
    assert.equal(existsSync(inFolder(stack, 'ran')), false);
  });
});

describe('the mode and owner of hooks.sh', all, () => {
  const write = async (stack: string): Promise<string> => {
    const files = { 'compose.yaml': idleService, 'hooks.sh': 'hook_pre_ps() { echo ran; }\n' };
    await writeStacks(fleet, { [`${host}:${stack}`]: files });
    return inFolder(stack, 'hooks.sh');
  };

  it('not executable: runs; one hint to chmod 750', async () => {
    const path = await write('plain-file');
    await chmod(path, 0o640);
    const { exitCode, stderr } = await fleet.kompose(['plain-file', 'ps']);
    assert.equal(exitCode, 0);
    assert.match(stderr, /^ran$/m);
    assert.equal(stderr.split(`chmod 750 ${path}`).length, 2);
  });

  it('writable by everybody (o+w): the task fails, with the chmod that mends it', async () => {
    const path = await write('open-file');
    await chmod(path, 0o757);
    const { exitCode, stderr } = await fleet.kompose(['open-file', 'ps']);
    assert.equal(exitCode, 1);
    assert(stderr.includes(`chmod o-w ${path}`), stderr);
    await chmod(path, 0o755);
    assert.equal((await fleet.kompose(['open-file', 'ps'])).exitCode, 0);
  });

  it('owned by another user: the task fails, with the chown that mends it', async () => {
    const path = await write('foreign-file');
    await chown(path, 65534, 65534);
    const { exitCode, stderr } = await fleet.kompose(['foreign-file', 'ps']);
    assert.equal(exitCode, 1);
    assert(stderr.includes(`chown 0 ${path}`), stderr);
    await chown(path, 0, 0);
    assert.equal((await fleet.kompose(['foreign-file', 'ps'])).exitCode, 0);
  });
});

describe('a background job left running', all, () => {
  it('does not hold the task open, shows what it writes at once, and lives on', async () => {
    const hooks =
      'hook_post_config() { { sleep 0.02; echo late; exec sleep 1000; } & echo $! >job; echo started; }\n';
    const { exitCode, stack, events } = await run(hooks);
    assert.equal(exitCode, 0);
    assert.equal(outputOf(events, 'post'), 'started\nlate\n');
    const job = Number(await readStackFile(fleet, host, stack, 'job'));
    assert.deepEqual(await processesOf(fleet, host, stack), [job]);
    process.kill(job, 'SIGKILL');
  });
});
