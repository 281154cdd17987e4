import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from '../../../../controller/services/rate-limit.ts';
import { KomposeError } from '../../../../common/errors.ts';

class Clock {
  nowMs = 0;
  readonly read = (): number => this.nowMs;
}

function taken(limit: RateLimit, wanted: number): number {
  for (let count = 0; count < wanted; count++) {
    try {
      limit.take('calls');
    } catch (error) {
      assert.ok(error instanceof KomposeError);
      assert.equal(error.code, 'too-many-requests');
      return count;
    }
  }
  return wanted;
}

test('lets a burst through, then none', () => {
  assert.equal(taken(new RateLimit(2, 5, new Clock().read), 10), 5);
});

test('fills again with time', () => {
  const clock = new Clock();
  const limit = new RateLimit(2, 5, clock.read);
  taken(limit, 5);
  clock.nowMs = 499;
  assert.equal(taken(limit, 10), 0);
  clock.nowMs = 500;
  assert.equal(taken(limit, 10), 1);
  clock.nowMs = 2000;
  assert.equal(taken(limit, 10), 3);
});

test('fills no further than the burst', () => {
  const clock = new Clock();
  const limit = new RateLimit(2, 5, clock.read);
  clock.nowMs = 1_000_000;
  assert.equal(taken(limit, 10), 5);
});

test('does not punish those who ask while it is empty', () => {
  const clock = new Clock();
  const limit = new RateLimit(1, 1, clock.read);
  assert.equal(taken(limit, 1), 1);
  for (clock.nowMs = 100; clock.nowMs < 1000; clock.nowMs += 100) assert.equal(taken(limit, 1), 0);
  clock.nowMs = 1001;
  assert.equal(taken(limit, 1), 1);
});
