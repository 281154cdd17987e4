import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createBackoff } from '../../../common/backoff.ts';

function pauses(count: number, random: () => number): number[] {
  const backoff = createBackoff(200, 15_000, random);
  return Array.from({ length: count }, () => backoff.next());
}

test('doubles the pause up to the longest', () => {
  assert.deepEqual(
    pauses(9, () => 1),
    [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000],
  );
});

test('pauses for at least half of that', () => {
  assert.deepEqual(
    pauses(3, () => 0),
    [100, 200, 400],
  );
});

test('begins small again after a reset', () => {
  const backoff = createBackoff(200, 15_000, () => 0);
  for (let count = 0; count < 5; count++) backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

test('stays between half and all of its ceiling, however often it is asked', () => {
  const jitter = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.array(jitter, { minLength: 1, maxLength: 3000 }), (jitters) => {
      let turn = 0;
      const backoff = createBackoff(200, 15_000, () => jitters[turn++] ?? 0);
      for (let count = 0; count < jitters.length; count++) {
        const ceiling = Math.min(200 * 2 ** Math.min(count, 20), 15_000);
        const pause = backoff.next();
        assert.ok(pause >= ceiling / 2 && pause <= ceiling, `${count}: ${pause}`);
      }
    }),
    { numRuns: 20 },
  );
});
