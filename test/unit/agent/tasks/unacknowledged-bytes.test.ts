import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnacknowledgedBytes } from '../../../../agent/tasks/unacknowledged-bytes.ts';

const mebibyte = 2 ** 20;
const { signal } = new AbortController();

/** After an event that was acknowledged so many milliseconds after it came, and then one of so many bytes. */
function afterRoundTrip(roundTripMs: number, bytes: number): UnacknowledgedBytes {
  let nowMs = 0;
  const unacknowledged = new UnacknowledgedBytes(() => nowMs);
  unacknowledged.add(1, 10);
  nowMs += roundTripMs;
  unacknowledged.acknowledge(1);
  unacknowledged.add(2, bytes);
  return unacknowledged;
}

test('of a controller that is near, no more than 768 KiB are waited for', () => {
  assert.equal(afterRoundTrip(1, 0.7 * mebibyte).waitForRoom(4 * mebibyte, signal), undefined);
  assert.notEqual(afterRoundTrip(1, 0.8 * mebibyte).waitForRoom(4 * mebibyte, signal), undefined);
});

test('of one that is far, as much is under way as its round trip asks for, and never more than is allowed', () => {
  assert.equal(afterRoundTrip(50, 3 * mebibyte).waitForRoom(4 * mebibyte, signal), undefined);
  assert.notEqual(afterRoundTrip(1_000, 5 * mebibyte).waitForRoom(4 * mebibyte, signal), undefined);
  assert.notEqual(afterRoundTrip(1_000, mebibyte).waitForRoom(mebibyte / 2, signal), undefined);
});

test('the shortest round trip counts', () => {
  const unacknowledged = afterRoundTrip(1, 10);
  unacknowledged.acknowledge(2);
  unacknowledged.add(3, 2 * mebibyte);
  assert.notEqual(unacknowledged.waitForRoom(4 * mebibyte, signal), undefined);
});

test('who waits for room goes on when there is some', async () => {
  const unacknowledged = afterRoundTrip(1, 2 * mebibyte);
  const room = unacknowledged.waitForRoom(4 * mebibyte, signal);
  unacknowledged.acknowledge(2);
  await room;
  assert.equal(unacknowledged.waitForRoom(4 * mebibyte, signal), undefined);
});
