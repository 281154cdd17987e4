import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { endFleet, jsonLines, readStackFile, shows, startFleet, until, writeStacks } from '../e2e/support.ts';

const fleet = await startFleet(['prod-1']);
after(() => endFleet(fleet));

const changing =
  'up down start stop restart build pull push create kill pause unpause rm scale db:export db:import db:cleanup frobnicate'.split(
    ' ',
  );
const reading = [
  'ps',
  'logs',
  'top',
  'port',
  'config',
  'images',
  'events',
  'stats',
  'ls',
  'version',
  'volumes',
];
const unlocked = [...reading, 'exec', 'run'];

/** A stack whose `up first` waits for the file `go`, and whose other commands end in their pre hooks. */
function gated(): Record<string, string> {
  const hooks = [...changing, ...unlocked].map((word) => {
    const name = `hook_pre_${word.replace(':', '_')}`;
    return word === 'up' ? '' : `${name}() { echo ${word} >>order; return 1; }`;
  });
  const up = `hook_pre_up() {
    if [[ $2 == first ]]; then echo begun; until [[ -e go ]]; do sleep 0.02; done; else echo up >>order; fi
    return 1
  }`;
  return {
    'hooks.sh': `${up}\n${hooks.join('\n')}\n`,
    '.env': 'DB_NAME=shop\nDB_HOST=127.0.0.1\n',
    'a.sql': dump,
  };
}

const dump = `--
-- PostgreSQL database dump
--
--
-- PostgreSQL database dump complete
--
`;

async function start(...words: readonly string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await fleet.kompose(['--detach', ...words]);
  assert.equal(exitCode, 0, stderr);
  return stdout.trim();
}

function open(stack: string): Promise<void> {
  return writeFile(join(fleet.stacks('prod-1'), stack, 'go'), '');
}

async function lines(stack: string): Promise<string[]> {
  return (await readStackFile(fleet, 'prod-1', stack, 'order')).split('\n').filter((line) => line !== '');
}

describe('commands that change a stack', { timeout: 120_000 }, () => {
  test(`wait for one another in order of arrival: ${changing.join(' ')}`, async () => {
    await writeStacks(fleet, { 'prod-1:app': gated() });
    const first = fleet.spawnKompose(['app', 'up', 'first']);
    await shows(first, 'stderr', 'begun');
    const args: Record<string, string[]> = { 'db:import': ['a.sql'] };
    let last = '';
    for (const word of changing) last = await start('app', word, ...(args[word] ?? []));
    assert.deepEqual(await lines('app'), []);
    await open('app');
    await first;
    await fleet.kompose(['runs', 'attach', last]);
    await until('all have run', async () => (await lines('app')).length >= changing.length);
    assert.deepEqual(await lines('app'), changing);
  });

  test('say for whom they wait', async () => {
    await writeStacks(fleet, { 'prod-1:told': gated() });
    const id = await start('told', 'up', 'first');
    const plain = fleet.spawnKompose(['told', 'stop']);
    await shows(plain, 'stderr', `waits for run ${id} (up by `);
    // Whoever comes after it waits for it.
    const json = fleet.spawnKompose(['-o', 'json', 'told', 'stop']);
    const events = jsonLines((await shows(json, 'stdout', 'waitingFor')).replace(/[^\n]*$/, ''));
    assert.ok(events.some(({ type }) => type === 'task.queued'));
    await open('told');
    await Promise.all([plain, json]);
  });

  test('wait for none of another stack', async () => {
    await writeStacks(fleet, { 'prod-1:one': gated(), 'prod-1:other': gated() });
    const first = fleet.spawnKompose(['one', 'up', 'first']);
    await shows(first, 'stderr', 'begun');
    assert.equal((await fleet.kompose(['other', 'stop'])).exitCode, 1);
    assert.deepEqual(await lines('other'), ['stop']);
    await open('one');
    await first;
  });
});

describe('commands that read, exec and run', { timeout: 120_000 }, () => {
  test(`do not wait: ${unlocked.join(' ')}`, async () => {
    await writeStacks(fleet, { 'prod-1:free': gated() });
    const first = fleet.spawnKompose(['free', 'up', 'first']);
    await shows(first, 'stderr', 'begun');
    const ends = await Promise.all(unlocked.map((word) => fleet.kompose(['free', word])));
    for (const { stderr } of ends) assert.doesNotMatch(stderr, /waits for/);
    assert.deepEqual((await lines('free')).toSorted(), unlocked.toSorted());
    await open('free');
    await first;
  });
});

describe('what stays attached', { timeout: 60_000 }, () => {
  for (const word of ['up', 'watch', 'attach', 'wait']) {
    test(`${word} takes one target`, async () => {
      await writeStacks(fleet, { 'prod-1:two-a': gated(), 'prod-1:two-b': gated() });
      await fleet.kompose(['two-*', 'version']);
      const { exitCode, stderr } = await fleet.kompose(['two-*', word]);
      assert.equal(exitCode, 2);
      assert.match(stderr, /stays attached, so it takes one target, not 2/);
      if (word === 'up') assert.match(stderr, /give it -d: kompose "two-\*" up -d/);
      assert.deepEqual(
        (await lines('two-a')).filter((line) => line !== 'version'),
        [],
      );
    });
  }
});
