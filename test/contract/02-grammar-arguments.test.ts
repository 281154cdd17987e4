import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { execa } from 'execa';
import {
  containers,
  endFleet,
  readStackFile,
  runJson,
  startFleet,
  until,
  writeStacks,
} from '../e2e/support.ts';
import { kompose as entry } from '../fleet/release.ts';

const fleet = await startFleet(['prod-1']);
after(() => endFleet(fleet));
const stack = 'it’s a stack';
await writeStacks(fleet, {
  [`prod-1:${stack}`]: {
    'hooks.sh': `
hook_pre_exec() { printf '%s\\0' "$@" >pre; env --null >env; }
hook_post_exec() { printf '%s\\0' "$@" >post; }`,
  },
});
assert.equal((await fleet.kompose([stack, 'up', '-d'])).exitCode, 0);

/** Prints its arguments, each with a NUL byte behind it. */
const print = ['-T', 'api', 'sh', '-c', 'printf "%s\\0" "$@"', 'sh'];

async function seenByHook(file: 'pre' | 'post'): Promise<string[]> {
  return (await readStackFile(fleet, 'prod-1', stack, file)).split('\0').slice(0, -1);
}

/** Runs `exec` with these arguments and gives them as the program in the container sees them. */
async function passedThrough(args: readonly string[]): Promise<string[]> {
  const { stdout, stderr, exitCode } = await fleet.kompose([stack, 'exec', ...print, ...args]);
  assert.equal(exitCode, 0, stderr);
  return stdout.split('\0').slice(0, -1);
}

describe('arguments behind the command', { timeout: 60_000 }, () => {
  const tables: Readonly<Record<string, readonly string[]>> = {
    'blanks and quotes': ['', ' ', 'two  words', "it's", '"', "'\"'", ' lead', 'trail ', '\t', 'a\tb', ''],
    newlines: ['a\nb', '\n', '\n\nc\n', '\r\n', 'end\\\n'],
    'what a shell would expand': [
      '*',
      '?',
      '[a-z]*',
      '~',
      '$HOME',
      '${stack}',
      '$$',
      '$(touch hit)',
      '`touch hit`',
      '!!',
      '{a,b}',
    ],
    'what a shell would end a command at': [';', '; touch hit', '&&', '|', '>hit', '<', '&', '#', '(', ')'],
    backslashes: ['\\', '\\\\', '\\n', 'a\\ b', '\\$HOME', '\\"', '%s%n', '\\0'],
    unicode: ['ünï', '日本語', '🚢🐳', 'e\u0301', '\u202e', '\ufeff', '\u0001\u007f'],
    "options that look like kompose's": [
      '-n',
      '-e',
      'A=B',
      '-H',
      'prod-9',
      '--host',
      '-L',
      '-q',
      '-o',
      'json',
      '--timeout',
      '0',
      '--list',
      '-y',
      '-h',
      '--help',
      '-V',
    ],
    'double dashes': ['--', '-', '--', '--dry-run', '---', '--=', '-='],
  };
  for (const [name, args] of Object.entries(tables)) {
    it(`reach hooks and the command as they were typed: ${name}`, async () => {
      assert.deepEqual(await passedThrough(args), args);
      const all = ['exec', ...print, ...args];
      assert.deepEqual(await seenByHook('pre'), all);
      assert.deepEqual(await seenByHook('post'), all);
      assert.equal(existsSync(join(fleet.stacks('prod-1'), stack, 'hit')), false);
    });
  }

  it('may be long and many', async () => {
    const args = ['x'.repeat(100_000), ...Array.from({ length: 2000 }, (_, at) => `argument ${at}`)];
    assert.deepEqual(await passedThrough(args), args);
    assert.deepEqual((await seenByHook('pre')).slice(-args.length), args);
  });

  it('are never changed silently: bytes that are no UTF-8 arrive as they are, or are refused', async () => {
    const script = `exec "$0" "$@" $'\\xff\\xfe'`;
    const { exitCode, stdout } = await execa(
      'bash',
      ['-c', script, process.execPath, entry, stack, 'exec', ...print],
      { env: { KOMPOSE_HOME: fleet.home }, encoding: 'buffer', reject: false },
    );
    if (exitCode !== 2) assert.equal(Buffer.from(stdout).toString('hex'), 'fffe00');
  });
});

describe('a value of -e', { timeout: 60_000 }, () => {
  it('reaches hooks as it was typed', async () => {
    const values = [
      '',
      ' a  b ',
      "it's",
      '"',
      '$(touch hit) `id` ${stack} $$',
      'a=b=',
      'two\nlines\n',
      '日本語',
      '\\',
      '#',
    ];
    const options = values.flatMap((value, at) => ['-e', `VALUE_${at}=${value}`]);
    assert.equal((await fleet.kompose([...options, stack, 'exec', ...print])).exitCode, 0);
    const env = (await readStackFile(fleet, 'prod-1', stack, 'env')).split('\0');
    for (const [at, value] of values.entries()) assert(env.includes(`VALUE_${at}=${value}`), value);
  });
});

describe('--dry-run', { timeout: 60_000 }, () => {
  it('is taken wherever it stands before a --, and is not passed on', async () => {
    for (const words of [
      ['up', '--dry-run', '-d', 'api'],
      ['up', '-d', 'api', '--dry-run'],
      ['up', '-d', '--dry-run', 'api', '--dry-run'],
      ['up', '-d', 'api', '--dry-run', '--'],
    ]) {
      const { exitCode, events } = await runJson(fleet, [stack, ...words]);
      assert.equal(exitCode, 0);
      const plan = events.findLast(({ type }) => type === 'plan.step');
      const rest = words.filter((word) => word !== '--dry-run');
      assert.deepEqual(plan?.argv?.slice(-rest.length), rest);
      assert.equal(plan?.argv?.includes('--dry-run'), false);
    }
  });

  it('is an argument behind a --, as is -n anywhere behind the command', async () => {
    assert.deepEqual(await passedThrough(['--', '--dry-run']), ['--', '--dry-run']);
    assert.deepEqual(await passedThrough(['-n']), ['-n']);
  });

  it('prints commands that a shell reads back to the same arguments', async () => {
    const args = ['two  words', "it's", '$(touch hit)', '*', '', '\\', '日本語', '~', '#', 'a\nb'];
    const { stdout, exitCode } = await fleet.kompose(['-n', stack, 'exec', ...print, ...args]);
    assert.equal(exitCode, 0);
    const action = /^ {2}action {2}([^]*?)\n(?= {2}post)/m.exec(stdout)?.[1] ?? '';
    const readBack = await execa('bash', ['-c', `set -- ${action}\nprintf '%s\\0' "$@"`]);
    assert.deepEqual(readBack.stdout.split('\0').slice(0, -1), [
      'docker',
      'compose',
      'exec',
      ...print,
      ...args,
    ]);
  });

  it('runs nothing', async () => {
    assert.equal((await fleet.kompose(['-n', stack, 'down'])).exitCode, 0);
    assert.equal((await containers(fleet, 'prod-1')).length, 1);
  });
});

describe('options', { concurrency: 4, timeout: 60_000 }, () => {
  const code = async (...args: readonly string[]): Promise<number> => (await fleet.kompose(args)).exitCode;

  it('stand before the pattern: the command begins with a letter', async () => {
    for (const words of [['-n'], ['-q'], ['-p', 'x'], ['--project-directory=/'], ['1up'], ['']]) {
      assert.equal(await code(stack, ...words, 'ps'), 2, words.join(' '));
    }
    assert.equal(await code('-q', '-n', stack, 'ps'), 0);
  });

  it('-o -q --no-color --controller --context stand before or after a noun', async () => {
    const globals = ['-o', 'json', '-q', '--no-color', '--controller', fleet.address];
    for (const words of [
      [...globals, 'hosts'],
      ['hosts', ...globals],
      ['hosts', 'ls', ...globals],
      [...globals.slice(0, 3), 'hosts', ...globals.slice(3)],
    ]) {
      const { stdout, exitCode } = await fleet.kompose(words);
      assert.equal(exitCode, 0, words.join(' '));
      assert.match(stdout, /^\{"name":"prod-1",/);
    }
  });

  it('of a run do not go with a noun', async () => {
    for (const words of [['-n'], ['-e', 'A=b'], ['--parallel', '2'], ['-y'], ['--local'], ['-l']]) {
      const { exitCode, stderr } = await fleet.kompose([...words, 'hosts']);
      assert.equal(exitCode, 2, words.join(' '));
      assert.match(stderr, /does not go with the noun "hosts"; a stack of that name is :hosts/);
    }
  });

  it('--controller ADDRESS wins over KOMPOSE_CONTROLLER, which wins over the context', async () => {
    const env = { KOMPOSE_CONTROLLER: '127.0.0.1:1' };
    assert.equal((await fleet.kompose(['-n', stack, 'ps'], { env })).exitCode, 6);
    const args = ['--controller', fleet.address, '-n', stack, 'ps'];
    assert.equal((await fleet.kompose(args, { env })).exitCode, 0);
  });

  it('--context NAME chooses a login by its name', async () => {
    const { stdout } = await fleet.kompose(['whoami', '-o', 'json']);
    const me = JSON.parse(stdout) as { name: string };
    const [name = ''] = await readdir(join(fleet.home, 'user', 'contexts'));
    const named = await fleet.kompose(['--context', name, 'whoami', '-o', 'json']);
    assert.equal((JSON.parse(named.stdout) as { name: string }).name, me.name);
    assert.equal(await code('--context', 'no-such', 'whoami'), 5);
  });

  it('--local needs no controller', async () => {
    const here = { KOMPOSE_STACKS: fleet.stacks('prod-1'), KOMPOSE_CONTROLLER: '127.0.0.1:1' };
    const env = { ...fleet.rig.host('prod-1').env, ...here };
    const { exitCode, stdout } = await fleet.kompose(['--local', '-n', stack, 'ps'], { env });
    assert.equal(exitCode, 0);
    assert.match(stdout, /^ {2}action {2}docker compose ps$/m);
  });

  it('-V, --version and -h, --help need neither', async () => {
    for (const words of [['-V'], ['--version'], ['-h'], ['--help'], ['hosts', '--help']]) {
      const { exitCode, stdout, stderr } = await fleet.kompose(words, { home: '/nonexistent' });
      assert.deepEqual([exitCode, stderr], [0, ''], words.join(' '));
      assert.match(stdout, /^(?:\d+\.\d+\.\d+\n$|Usage: )/);
    }
  });

  it('are named in --help, each of them', async () => {
    const { stdout } = await fleet.kompose(['--help']);
    const flags =
      '-H, --host|-L, --label|-n, --dry-run|-e, --env|--network|--parallel|--batch <n>|--batch-wait|' +
      '--max-failures|--timeout|--offline|--detach|-y, --yes|-o, --output|-q, --quiet|--raw|--no-color|' +
      '-l, --list|--local|--controller|--context|-V, --version|-h, --help';
    for (const flag of flags.split('|')) assert.ok(stdout.includes(` ${flag} `), flag);
  });
});

describe('the first word', { concurrency: 4, timeout: 60_000 }, () => {
  it('that is a noun is that noun; the stack of that name is written :name', async () => {
    await writeStacks(fleet, { 'prod-1:hosts': {} });
    await until('it is known', async () => (await fleet.kompose(['-n', ':hosts', 'ps'])).exitCode === 0);
    assert.match((await fleet.kompose(['hosts', 'ls'])).stdout, /^NAME /);
  });

  for (const word of ['schedule', 'config', 'context', 'explain', 'db', 'git', 'ui']) {
    it(`${word} is reserved for later`, async () => {
      const { exitCode, stderr } = await fleet.kompose([word, 'ps']);
      assert.equal(exitCode, 2);
      assert.match(stderr, new RegExp(`"${word}" is reserved.*a stack of that name is :${word}`));
    });
  }
});
