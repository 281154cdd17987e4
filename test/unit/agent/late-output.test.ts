import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOthersOutput } from '../../../agent/process/late-output.ts';

const rows = [
  [
    'right after the end, however long it was silent before',
    { endedMs: 50, idleMs: 9_000, lateBytes: 0 },
    false,
  ],
  ['once nothing has come for the grace', { endedMs: 250, idleMs: 250, lateBytes: 7 }, true],
  ['while a job writes now and then', { endedMs: 1_900, idleMs: 60, lateBytes: 900 }, false],
  ['of such a job, after a while', { endedMs: 2_100, idleMs: 60, lateBytes: 900 }, true],
  [
    'while what a job writes is taken, also after a while',
    { endedMs: 2_100, idleMs: 0, lateBytes: 900 },
    false,
  ],
  ['once more has come than can be on its way', { endedMs: 5, idleMs: 0, lateBytes: 600_000 }, true],
] as const;
for (const [when, output, isOthers] of rows)
  test(`what comes ${when}, is ${isOthers ? '' : 'not '}taken for another’s`, () =>
    assert.equal(isOthersOutput(output), isOthers));
