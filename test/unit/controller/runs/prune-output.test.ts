import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { logsToRemove, type SizedLog } from '../../../../controller/runs/prune-output.ts';

const log = (run: string, finishedMs: number | undefined, bytes = 100): SizedLog => {
  return { run, finishedMs, bytes };
};

describe('logsToRemove', () => {
  const nowMs = 1_000_000;
  const cases: [string, SizedLog[], { ageMs: number; bytes: number }, string[]][] = [
    ['keeps what is within both bounds', [log('a', 999_000)], { ageMs: 1_000, bytes: 100 }, []],
    [
      'removes what ended longer ago',
      [log('b', 998_999), log('a', 999_000)],
      { ageMs: 1_000, bytes: 1e9 },
      ['b'],
    ],
    [
      'removes the oldest until the rest is within the size',
      [log('c', 3), log('a', 1), log('b', 2)],
      { ageMs: nowMs, bytes: 150 },
      ['a', 'b'],
    ],
    [
      'never removes that of a run which goes on, but counts it',
      [log('live', undefined, 1e6), log('a', 1)],
      { ageMs: 1e9, bytes: 1_000 },
      ['a'],
    ],
  ];
  for (const [name, logs, kept, expected] of cases) {
    test(name, () => {
      const goes = logsToRemove(logs, kept, nowMs);
      assert.deepEqual(
        goes.map(({ run }) => run),
        expected,
      );
    });
  }
});
