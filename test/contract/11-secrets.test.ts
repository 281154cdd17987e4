import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { Screen } from '../e2e/screen.ts';
import {
  endFleet,
  idleService,
  jsonLines,
  outputOf,
  runJson,
  shows,
  startFleet,
  writeStacks,
  type EventsOfRun,
  type JsonLine,
} from '../e2e/support.ts';
import { findTraces } from './secret-forms.ts';
import { kompose as program } from '../fleet/release.ts';

/*
 * Section 11 of the command contract, sentence by sentence. That no secret is found anywhere, whatever it is, is the
 * property of 11-secrets-property.test.ts.
 */

const host = 'prod-1';
const fleet = await startFleet([host]);
after(() => endFleet(fleet));

/** The pre hook of `config --services`, which needs no engine, prints `told`, each piece by a write of its own. */
const tell = `hook_pre_config() {
  local piece
  while IFS= read -rd '' piece; do printf %s "$piece"; done < told
}
`;

async function toldBy(
  env: Readonly<Record<string, string>>,
  told: string,
  hooks = tell,
): Promise<EventsOfRun> {
  const lines = Object.entries(env).map(([name, value]) => `${name}='${value}'\n`);
  const files = { 'hooks.sh': hooks, '.env': lines.join(''), told: told.endsWith('\0') ? told : `${told}\0` };
  await writeStacks(fleet, { [`${host}:told`]: files });
  return runJson(fleet, ['told', 'config', '--services']);
}

async function listed(...words: string[]): Promise<Record<string, unknown>[]> {
  const { stdout, stderr, exitCode } = await fleet.kompose(['-o', 'json', ...words]);
  assert.equal(exitCode, 0, stderr);
  return jsonLines(stdout) as unknown as Record<string, unknown>[];
}

const words = 'PASSWORD PASSWD PASSPHRASE SECRET TOKEN KEY CREDENTIAL DSN DATABASE_URL PRIVATE'.split(' ');

describe('a variable whose name says secret', { timeout: 60_000 }, () => {
  const names = (word: string): string[] => [
    word,
    `${word}S`,
    `X_${word}`,
    `${word}_X`,
    `PG${word}`,
    `a_${word.toLowerCase()}`,
  ];
  const secret = [...words.flatMap(names), 'DB_PWD', 'DB_PWD_OLD'];
  const plain = ['PWDS', 'KEYBOARD', 'TOKENIZER', 'SECRETARY', 'PRIVATEER', 'DATABASE', 'URL'];
  const value = (name: string): string => `value-${[...secret, ...plain].indexOf(name)}-of`;
  let output = '';

  before(async () => {
    const all = [...secret, ...plain];
    const env = Object.fromEntries(all.map((name) => [name, value(name)]));
    const { events } = await toldBy(env, all.map((name) => `${name}=${value(name)}\n`).join(''));
    output = outputOf(events, 'pre');
  });

  for (const word of [...words, 'PWD']) {
    it(`${word} is one`, () => {
      for (const name of secret.filter((each) =>
        word === 'PWD' ? /PWD/.test(each) : names(word).includes(each),
      )) {
        assert.match(output, new RegExp(`^${name}=\\[redacted\\]$`, 'm'));
      }
    });
  }

  for (const name of plain) {
    it(`${name} is none`, () => {
      assert.match(output, new RegExp(`^${name}=${value(name)}$`, 'm'));
    });
  }
});

describe('the value of a secret', { timeout: 60_000 }, () => {
  const s = 'ö?hunter2+swordfish/~';
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const url = encodeURIComponent(s);
  const forms: readonly [what: string, env: string, told: string, shown: string][] = [
    ['as it is', s, `<${s}>`, '<[redacted]>'],
    ['cut over two chunks', s, `<${s.slice(0, 7)}\0${s.slice(7)}>`, '<[redacted]>'],
    [
      'what only begins like it is shown',
      s,
      `<${s.slice(0, 9)}\0${s.slice(0, -1)}>`,
      `<${s.slice(0, 9)}${s.slice(0, -1)}>`,
    ],
    ['base64', s, `<${base64(s)}>`, '<[redacted]>'],
    ['base64, one byte before', s, `<${base64(`a${s}`)}>`, '<Yc[redacted]>'],
    ['base64, two bytes before', s, `<${base64(`ab${s}`)}>`, '<YWL[redacted]>'],
    ['base64, the URL alphabet', s, `<${Buffer.from(s).toString('base64url')}>`, '<[redacted]>'],
    ['URL-encoded', s, `<${url}>`, '<[redacted]>'],
    [
      'URL-encoded, lower-case digits',
      s,
      `<${url.replaceAll(/%../g, (hex) => hex.toLowerCase())}>`,
      '<[redacted]>',
    ],
    ['URL-encoded as a form', 'hunter 2&3', '<hunter+2%263>', '<[redacted]>'],
    [
      'each line of several',
      'first line\nsecond line',
      'second line, first line\n',
      '[redacted], [redacted]\n',
    ],
    ['the password inside a URL', 'pg://me:hunter2@db/x', '<hunter2>', '<[redacted]>'],
    ['left alone if it is shorter than 4 characters', 'öxy', '<öxy>', '<öxy>'],
    ['not left alone at 4', 'öxyz', '<öxyz>', '<[redacted]>'],
  ];
  for (const [what, value, told, shown] of forms) {
    it(what, async () => {
      const { events } = await toldBy({ A_SECRET: value }, told);
      assert.equal(outputOf(events, 'pre', 'stdout'), shown);
    });
  }

  it('from a layer that a higher one hides', async () => {
    await writeFile(join(fleet.stacks(host), '.env'), 'A_SECRET=of-the-root\n');
    const { events } = await toldBy({ A_SECRET: 'of-the-stack' }, '<of-the-root> <of-the-stack>');
    assert.equal(outputOf(events, 'pre'), '<[redacted]> <[redacted]>');
    await writeFile(join(fleet.stacks(host), '.env'), '');
  });

  it('exported by a hook, in all that comes after it', async () => {
    const hooks = `hook_pre_config() { export A_TOKEN=$(cat told); }\nhook_post_config() { echo "<$A_TOKEN>"; }\n`;
    const { events } = await toldBy({}, 'hunter2', hooks);
    assert.equal(outputOf(events, 'post'), '<[redacted]>\n');
  });

  it('is held back on a terminal for a moment only, and still masked', async () => {
    const { PATH = '', HOME = '/root' } = process.env;
    await writeStacks(fleet, { [`${host}:app`]: { '.env': 'API_TOKEN=swordfish-and-chips\n' } });
    await fleet.kompose(['app', 'up', '-d']);
    using screen = new Screen([process.execPath, program, 'app', 'exec', 'api', 'sh'], {
      env: { PATH, HOME, LANG: 'C.UTF-8', KOMPOSE_HOME: fleet.home },
    });
    await screen.shows(/# (?:.\[(?:6n|J))?$/);
    screen.type('printf "<sword"; head -n 1; echo swordfish-"and"-chips.\r');
    await screen.shows(/<sword$/);
    screen.type('x\r');
    await screen.shows(/\[redacted\]\./);
    screen.type('exit\r');
    assert.equal(await screen.ends(), 0);
  });
});

it(
  'ids, hosts, stacks, services, commands, steps, states and paths of dumps are never masked',
  { timeout: 60_000 },
  async () => {
    const dumps = ['shop_20260101_000000.sql', 'shop_20260102_000000.sql'];
    const names = [
      host,
      'names',
      'backend',
      'docker',
      'compose',
      'config',
      'hook_pre_config',
      'action',
      'succeeded',
    ];
    const secrets = [...names, 'shop', 'cleanup', 'db:cleanup', 'admin'].map(
      (name, at) => `N${at}_KEY=${name}\n`,
    );
    await writeStacks(fleet, {
      [`${host}:names`]: {
        'compose.yaml': idleService.replace('api:', 'backend:'),
        'hooks.sh': 'hook_pre_config() { :; }\nhook_post_db_cleanup() { :; }\n',
        '.env': `${secrets.join('')}DB_NAME=shop\nDB_HOST=127.0.0.1\n`,
        ...Object.fromEntries(dumps.map((dump) => [dump, ''])),
      },
    });
    const config = await runJson(fleet, ['names', 'config', '--no-interpolate', 'backend']);
    assert.equal(config.exitCode, 0, config.stderr);
    const of = ({ events }: EventsOfRun, type: string): readonly JsonLine[] =>
      events.filter((event) => event.type === type);
    assert.deepEqual(
      of(config, 'step.started').map(({ name, argv }) => [name, argv?.join(' ')]),
      [
        ['hook_pre_config', 'hook_pre_config config --no-interpolate backend'],
        ['docker compose config', 'docker compose config --no-interpolate backend'],
      ],
    );
    assert.equal(config.ends[`${host}:names`]?.state, 'succeeded');
    const run = config.events[0]?.run ?? '';
    const [shown, task] = await listed('runs', 'show', run);
    assert.deepEqual([shown?.['command'], shown?.['args']], ['config', ['--no-interpolate', 'backend']]);
    assert.deepEqual([task?.['host'], task?.['stack'], task?.['state']], [host, 'names', 'succeeded']);

    const cleanup = await runJson(fleet, ['names', 'db:cleanup']);
    const removed = join(fleet.stacks(host), 'names', dumps[0] ?? '');
    assert.ok(outputOf(cleanup.events, 'action').includes(removed), outputOf(cleanup.events, 'action'));
    const hook = of(cleanup, 'step.started').find(({ name }) => name === 'hook_post_db_cleanup');
    assert.deepEqual(hook?.argv, ['hook_post_db_cleanup', removed]);
  },
);

it("the running step's file is 0600 in a 0700 folder, on a tmpfs, and removed once read", async () => {
  const hooks = `hook_pre_config() { stat -c '%a %n' "$__kompose_out" "\${__kompose_out%/*}"; stat -fc %T "$__kompose_out"; }\n`;
  const { events } = await toldBy({}, '', hooks);
  const [file = '', folder = '', system] = outputOf(events, 'pre').split('\n');
  assert.match(file, /^600 \//);
  assert.match(folder, /^700 \//);
  assert.equal(system, 'tmpfs');
  const later = await toldBy(
    { OLD: file.slice(4) },
    '',
    'hook_pre_config() { ls -d "$OLD" "${OLD%/*}"; return 0; }\n',
  );
  assert.equal(outputOf(later.events, 'pre', 'stdout'), '');
});

/** Other tests' folders come and go there meanwhile, which grep bears. */
async function filesInMemory(text: string): Promise<string[]> {
  const { stdout } = await execa('grep', ['-rlF', text, '/dev/shm'], { reject: false });
  return stdout.split('\n').filter((line) => line !== '');
}

it(
  "while a step runs, no file but its own in memory holds a secret's value",
  { timeout: 60_000 },
  async () => {
    const secret = 'written-by-a-running-step';
    const hooks = `hook_pre_config() { cat told; echo begun; until [[ -e go ]]; do sleep 0.02; done; }\n`;
    const files = { 'hooks.sh': hooks, '.env': `A_SECRET=${secret}\n`, told: `${secret}\n` };
    await writeStacks(fleet, { [`${host}:running`]: files });
    const client = fleet.spawnKompose(['-o', 'json', 'running', 'config', '--services']);
    const shown = await shows(client, 'stdout', 'begun');
    const inFleet = await findTraces([secret], fleet.folder, new Map([['client', shown]]));
    const inMemory = await filesInMemory(secret);
    const inStack = await findTraces([secret], fleet.stacks(host), new Map());
    await writeFile(join(fleet.stacks(host), 'running/go'), '');
    assert.equal((await client).exitCode, 0);
    assert.deepEqual(inFleet, []);
    assert.notDeepEqual(inStack, [], 'it is found where it is');
    const task = jsonLines(shown.slice(0, shown.lastIndexOf('\n') + 1)).find(
      (event) => event.task !== undefined,
    )?.task;
    for (const found of inMemory) assert.ok(found.startsWith(`/dev/shm/kompose-${task}-`), found);
    assert.deepEqual(await filesInMemory(secret), []);
  },
);

describe('arguments that hold a secret which only the host knows', { timeout: 60_000 }, () => {
  const secret = 'only-the-host-knows';
  const masked = ['-T', 'api', 'psql', '-c', "ALTER ROLE app PASSWORD '[redacted]'"];
  const typed = masked.map((word) => word.replace('[redacted]', secret));
  let run = '';

  before(async () => {
    await writeStacks(fleet, { [`${host}:bank`]: { '.env': `DB_PASSWORD=${secret}\n` } });
    const { events } = await runJson(fleet, ['bank', 'exec', ...typed]);
    run = events[0]?.run ?? '';
  });

  it('are masked in the run and its audit record', async () => {
    const [shown] = await listed('runs', 'show', run);
    assert.deepEqual(shown?.['args'], masked);
    const audit = await listed('audit', 'ls');
    const started = audit.find((record) => record['type'] === 'run.started' && record['run'] === run);
    assert.deepEqual(started?.['args'], masked);
  });

  it('are named by runs retry, which cannot repeat the run (2)', async () => {
    const { exitCode, stderr } = await fleet.kompose(['runs', 'retry', run]);
    assert.equal(exitCode, 2);
    assert.match(stderr, /its argument 5, "ALTER ROLE app PASSWORD '\[redacted\]'", is not kept whole/);
    assert.match(stderr, /type the command again: kompose "bank" exec …/);
  });

  it('are hidden whole, if they might hold one, while the host is away', async () => {
    await fleet.kill(host);
    const { events, exitCode } = await runJson(fleet, [`${host}:bank`, 'exec', ...typed]);
    await fleet.startAgent(host);
    assert.equal(exitCode, 4);
    const [shown] = await listed('runs', 'show', events[0]?.run ?? '');
    assert.deepEqual(shown?.['args'], ['-T', 'api', '[redacted]', '-c', '[redacted]']);
  });
});

describe('runs retry', { timeout: 60_000 }, () => {
  before(() =>
    writeStacks(fleet, {
      [`${host}:again`]: { 'hooks.sh': 'hook_pre_config() { [[ $API_KEY == right ]]; }\n' },
    }),
  );

  async function failed(...args: string[]): Promise<string> {
    return (await runJson(fleet, args)).events[0]?.run ?? '';
  }

  it('asks again for -e values of secret names', async () => {
    const run = await failed('-e', 'API_KEY=wrong-one', '-e', 'TAG=v2', 'again', 'config', '--services');
    const bare = await fleet.kompose(['runs', 'retry', run]);
    assert.equal(bare.exitCode, 2);
    assert.match(bare.stderr, /give them again with -e API_KEY=…/);
    assert.equal((await fleet.kompose(['runs', 'retry', run, '-e', 'API_KEY=right'])).exitCode, 0);
  });

  it('cannot repeat a run that read stdin (2)', async () => {
    const { stdout } = await fleet.kompose(['-o', 'json', 'again', 'exec', '-T', 'none', 'cat'], {
      input: 'bytes',
    });
    const { exitCode, stderr } = await fleet.kompose(['runs', 'retry', jsonLines(stdout)[0]?.run ?? '']);
    assert.equal(exitCode, 2);
    assert.match(stderr, /its standard input is not kept/);
  });
});
