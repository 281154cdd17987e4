import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HiddenRuns } from '../../../../common/redaction/hidden-runs.ts';

test('runs that overlap or touch become one, also if one is within the other', () => {
  const hidden = new HiddenRuns();
  for (const [start, end] of [
    [2, 5],
    [5, 8],
    [10, 16],
    [12, 15],
    [20, 24],
    [22, 26],
    [19, 27],
  ] as const) {
    hidden.add(start, end);
  }
  assert.deepEqual(hidden.take(19), [
    { start: 2, end: 8 },
    { start: 10, end: 16 },
    { start: 19, end: 27 },
  ]);
});

test('takes those that start at or before the limit, and each once', () => {
  const hidden = new HiddenRuns();
  hidden.add(1, 3);
  hidden.add(7, 9);
  assert.deepEqual(hidden.take(0), []);
  assert.deepEqual(hidden.take(6), [{ start: 1, end: 3 }]);
  assert.deepEqual(hidden.take(7), [{ start: 7, end: 9 }]);
  assert.deepEqual(hidden.take(99), []);
});
