import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { commandTraits } from '../../../common/compose-command.ts';

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
const changing = [
  'up',
  'down',
  'start',
  'stop',
  'restart',
  'build',
  'pull',
  'push',
  'create',
  'kill',
  'pause',
];
const more = ['unpause', 'rm', 'scale', 'db:export', 'db:import', 'db:cleanup', 'unheard-of', 'constructor'];

describe('commandTraits', () => {
  for (const command of reading) {
    test(`takes ${command} for one that only reads`, () => {
      const traits = commandTraits(command, []);
      assert.deepEqual(traits, {
        reads: true,
        readsStdin: false,
        endsWithWatcher: false,
        locks: false,
        confirms: false,
      });
    });
  }

  for (const command of [...changing, ...more]) {
    test(`has ${command} wait for its turn on the stack`, () => {
      const { reads, locks, readsStdin } = commandTraits(command, []);
      assert.deepEqual({ reads, locks, readsStdin }, { reads: false, locks: true, readsStdin: false });
    });
  }

  for (const command of ['exec', 'run']) {
    test(`has ${command} read stdin and wait for nobody`, () => {
      const { reads, locks, readsStdin, endsWithWatcher } = commandTraits(command, []);
      assert.deepEqual(
        { reads, locks, readsStdin, endsWithWatcher },
        { reads: false, locks: false, readsStdin: true, endsWithWatcher: false },
      );
    });
  }

  test('asks before the commands that take something away', () => {
    const confirmed = [...reading, ...changing, ...more, 'exec', 'run'].filter(
      (command) => commandTraits(command, []).confirms,
    );
    assert.deepEqual(confirmed.toSorted(), ['db:cleanup', 'db:import', 'down', 'kill', 'rm', 'stop']);
  });

  for (const command of ['watch', 'attach', 'wait']) {
    test(`has ${command} end with its watcher`, () => {
      assert.equal(commandTraits(command, []).endsWithWatcher, true);
    });
  }

  const attached: readonly (readonly string[])[] = [
    [],
    ['--build'],
    ['web'],
    ['--detach=false'],
    ['--no-deps'],
    ['--no-deps', 'web-d'],
    ['--force-recreate', '-V'],
    ['--quiet-pull', 'd'],
  ];
  for (const args of attached) {
    test(`has up ${args.join(' ')} end with its watcher`, () => {
      assert.equal(commandTraits('up', args).endsWithWatcher, true);
    });
  }

  const detached: readonly (readonly string[])[] = [
    ['-d'],
    ['--detach'],
    ['--detach=true'],
    ['--wait'],
    ['--wait', '--wait-timeout', '3'],
    ['--no-start'],
    ['web', '-d'],
    ['-Vd'],
    ['-dV'],
    ['--build', '-d', 'web'],
  ];
  for (const args of detached) {
    test(`has up ${args.join(' ')} go on without a watcher`, () => {
      assert.equal(commandTraits('up', args).endsWithWatcher, false);
    });
  }

  test('does not take the -d of another command for up’s', () => {
    assert.equal(commandTraits('wait', ['-d']).endsWithWatcher, true);
    assert.equal(commandTraits('restart', []).endsWithWatcher, false);
  });
});
