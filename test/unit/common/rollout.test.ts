import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  allAtOnce,
  hostGroups,
  isOverFailureLimit,
  pauseLeftMs,
  startable,
  waitLeftMs,
  type RolloutTask,
} from '../../../common/rollout.ts';
import type { TaskState } from '../../../common/task-event.ts';

const hosts = ['a', 'b', 'c', 'd', 'e'];
const task = (phase: RolloutTask['phase'], state?: TaskState): RolloutTask => {
  return { host: 'a', phase, end: state === undefined ? undefined : { state } };
};

describe('hostGroups', () => {
  const cases: [string, Parameters<typeof hostGroups>[1], string[][]][] = [
    ['takes all hosts at once without --batch', undefined, [hosts]],
    [
      'makes groups of N, the last one smaller',
      { count: 2, isPercent: false },
      [['a', 'b'], ['c', 'd'], ['e']],
    ],
    ['rounds a percentage down', { count: 50, isPercent: true }, [['a', 'b'], ['c', 'd'], ['e']]],
    ['takes at least one host', { count: 1, isPercent: true }, [['a'], ['b'], ['c'], ['d'], ['e']]],
    ['takes more than there are as all', { count: 9, isPercent: false }, [hosts]],
  ];
  for (const [name, batch, groups] of cases)
    test(name, () => assert.deepEqual(hostGroups(hosts, batch), groups));
});

describe('isOverFailureLimit', () => {
  const ended = (...states: TaskState[]): RolloutTask[] => states.map((state) => task('ended', state));
  const none = { count: 0, isPercent: false };
  const cases: [string, RolloutTask[], Parameters<typeof isOverFailureLimit>[1], boolean][] = [
    ['never without --max-failures', ended('failed', 'failed'), undefined, false],
    ['with none allowed, at the first', ended('succeeded', 'failed'), none, true],
    ['not at just as many as allowed', ended('failed', 'succeeded'), { count: 1, isPercent: false }, false],
    ['at one more', ended('failed', 'lost'), { count: 1, isPercent: false }, true],
    [
      'counts timed-out, unreachable and lost',
      ended('timed-out', 'unreachable', 'lost'),
      { count: 2, isPercent: false },
      true,
    ],
    ['counts neither skipped, cancelled nor denied', ended('skipped', 'cancelled', 'denied'), none, false],
    [
      'takes a percentage of all targets, rounded down',
      [...ended('failed'), task('queued'), task('queued')],
      { count: 66, isPercent: true },
      false,
    ],
    [
      'is over that percentage',
      [...ended('failed', 'failed'), task('queued')],
      { count: 66, isPercent: true },
      true,
    ],
  ];
  for (const [name, tasks, limit, over] of cases)
    test(name, () => assert.equal(isOverFailureLimit(tasks, limit), over));
});

describe('startable', () => {
  const [first, second] = [task('queued'), task('queued')];
  const cases: [string, RolloutTask[], number, boolean, RolloutTask[]][] = [
    ['starts the next one of a host', [task('ended', 'failed'), first, second], 9, false, [first]],
    ['leaves a busy host alone', [task('running'), first], 9, false, []],
    ['counts a task that was sent as under way', [task('sent'), first], 9, false, []],
    ['starts all of a reading command', [task('running'), first, second], 9, true, [first, second]],
    ['keeps to the room that is left', [first, second], 1, true, [first]],
    ['starts nothing without room', [first], 0, false, []],
  ];
  for (const [name, tasks, room, reads, expected] of cases) {
    test(name, () => assert.deepEqual(startable(tasks, room, reads), expected));
  }
});

describe('pauseLeftMs', () => {
  const options = { ...allAtOnce, batchWaitMs: 10_000 };

  test('is the whole pause right after the end of a group', () => {
    assert.equal(pauseLeftMs(options, 5_000, 5_000), 10_000);
  });

  test('is what is left of it after a while, and nothing in the end', () => {
    assert.equal(pauseLeftMs(options, 5_000, 12_000), 3_000);
    assert.equal(pauseLeftMs(options, 5_000, 90_000), 0);
  });

  test('is never longer than was asked for, whatever the clock does', () => {
    assert.equal(pauseLeftMs(options, 90_000, 5_000), 10_000);
  });

  test('is never longer than a timer can be, and so not over at once', () => {
    assert.equal(pauseLeftMs({ ...allAtOnce, batchWaitMs: 30 * 86_400_000 }, 5_000, 5_000), 2 ** 31 - 1);
  });
});

describe('waitLeftMs', () => {
  test('is all of it for a host that nobody has waited for yet', () => {
    assert.equal(waitLeftMs(3_600_000, undefined, 50_000), 3_600_000);
  });

  test('is what an earlier process has left of it', () => {
    assert.equal(waitLeftMs(3_600_000, 10_000, 610_000), 3_000_000);
  });

  test('leaves an agent the time to come back, but no longer than was asked for', () => {
    assert.equal(waitLeftMs(3_600_000, 0, 9_000_000), 20_000);
    assert.equal(waitLeftMs(5_000, 0, 9_000_000), 5_000);
  });

  test('is never longer than a timer can be, and so not over at once', () => {
    for (const since of [undefined, 0]) assert.equal(waitLeftMs(30 * 86_400_000, since, 0), 2 ** 31 - 1);
  });
});
