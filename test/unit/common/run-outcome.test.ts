import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runOutcome, type TaskEnd } from '../../../common/run-outcome.ts';
import { taskStates, type TaskState } from '../../../common/task-event.ts';

function ends(...states: TaskState[]): TaskEnd[] {
  return states.map((state) => ({ state, actionDecided: false }));
}

const table: readonly {
  states: readonly TaskState[];
  byUser?: boolean;
  state: TaskState;
  exitCode: number;
}[] = [
  { states: ['succeeded'], state: 'succeeded', exitCode: 0 },
  { states: ['skipped'], state: 'skipped', exitCode: 0 },
  { states: ['succeeded', 'skipped'], state: 'succeeded', exitCode: 0 },
  { states: ['succeeded', 'failed'], state: 'failed', exitCode: 1 },
  { states: ['succeeded', 'timed-out'], state: 'timed-out', exitCode: 1 },
  { states: ['timed-out', 'failed'], state: 'failed', exitCode: 1 },
  { states: ['unreachable', 'succeeded'], state: 'unreachable', exitCode: 4 },
  { states: ['lost', 'succeeded'], state: 'lost', exitCode: 4 },
  { states: ['denied', 'succeeded'], state: 'denied', exitCode: 5 },
  { states: ['unreachable', 'failed'], state: 'failed', exitCode: 1 },
  { states: ['lost', 'timed-out'], state: 'timed-out', exitCode: 1 },
  { states: ['denied', 'failed'], state: 'failed', exitCode: 1 },
  { states: ['denied', 'unreachable', 'lost'], state: 'denied', exitCode: 5 },
  { states: ['cancelled', 'succeeded'], byUser: true, state: 'cancelled', exitCode: 130 },
  { states: ['cancelled', 'failed', 'denied', 'lost'], byUser: true, state: 'cancelled', exitCode: 130 },
  { states: ['cancelled', 'succeeded'], state: 'failed', exitCode: 1 },
  { states: ['cancelled', 'failed'], state: 'failed', exitCode: 1 },
  { states: ['cancelled', 'unreachable'], state: 'unreachable', exitCode: 4 },
  { states: ['succeeded', 'succeeded'], byUser: true, state: 'succeeded', exitCode: 0 },
];

describe('runOutcome', () => {
  for (const { states, byUser = false, state, exitCode } of table) {
    test(`ends ${exitCode} after ${states.join(', ')}${byUser ? ', cancelled by the user' : ''}`, () => {
      for (const order of [states, states.toReversed()]) {
        const outcome = runOutcome(ends(...order), 'up', byUser);
        assert.equal(outcome.exitCode, exitCode);
        assert.equal(outcome.state, state);
      }
    });
  }

  test('counts every end state that there is, and only those', () => {
    const outcome = runOutcome(ends(...taskStates, 'failed', 'lost'), 'up', false);
    assert.deepEqual(outcome.counts, {
      succeeded: 1,
      failed: 2,
      skipped: 1,
      cancelled: 1,
      'timed-out': 1,
      unreachable: 1,
      lost: 2,
      denied: 1,
    });
    assert.deepEqual(runOutcome(ends('succeeded'), 'up', false).counts, { succeeded: 1 });
  });

  const single: readonly {
    title: string;
    end: TaskEnd;
    command: string;
    exitCode: number;
    byUser?: boolean;
  }[] = [
    {
      title: 'exec with the command’s own code',
      end: { state: 'failed', exitCode: 42, actionDecided: true },
      command: 'exec',
      exitCode: 42,
    },
    {
      title: 'run with the command’s own code',
      end: { state: 'failed', exitCode: 127, actionDecided: true },
      command: 'run',
      exitCode: 127,
    },
    {
      title: 'exec that succeeded with 0',
      end: { state: 'succeeded', exitCode: 0, actionDecided: true },
      command: 'exec',
      exitCode: 0,
    },
    {
      title: 'exec with a failing hook with 1',
      end: { state: 'failed', exitCode: 42, actionDecided: false },
      command: 'exec',
      exitCode: 1,
    },
    {
      title: 'exec that timed out with 1',
      end: { state: 'timed-out', exitCode: 143, actionDecided: true },
      command: 'exec',
      exitCode: 1,
    },
    {
      title: 'exec that was cancelled with 130',
      end: { state: 'cancelled', exitCode: 143, actionDecided: true },
      command: 'exec',
      exitCode: 130,
      byUser: true,
    },
    {
      title: 'exec on a lost host with 4',
      end: { state: 'lost', actionDecided: false },
      command: 'exec',
      exitCode: 4,
    },
    {
      title: 'another command with 1',
      end: { state: 'failed', exitCode: 42, actionDecided: true },
      command: 'up',
      exitCode: 1,
    },
  ];
  for (const { title, end, command, exitCode, byUser = false } of single) {
    test(`ends ${title}`, () => assert.equal(runOutcome([end], command, byUser).exitCode, exitCode));
  }

  test('ends exec on several targets like any command', () => {
    const end: TaskEnd = { state: 'failed', exitCode: 42, actionDecided: true };
    assert.equal(runOutcome([end, end], 'exec', false).exitCode, 1);
  });
});
