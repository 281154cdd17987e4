import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { test } from 'node:test';
import { ProcessGauge } from '../../../common/process-gauge.ts';
import { until } from '../../until.ts';

test('counts the memory, open files and handles of this process', async () => {
  using gauge = new ProcessGauge();
  const before = gauge.read();
  const held = Buffer.alloc(32 * 1024 * 1024, 1);
  const file = await open('/dev/null');
  const timer = setInterval(() => undefined, 60_000);
  const during = gauge.read();
  clearInterval(timer);
  await file.close();
  const afterwards = gauge.read();
  assert.ok(during.bufferBytes - before.bufferBytes > held.length * 0.9);
  assert.ok(during.residentBytes - before.residentBytes > held.length / 2);
  assert.equal(during.fileDescriptors - before.fileDescriptors, 1);
  assert.equal(afterwards.fileDescriptors, before.fileDescriptors);
  assert.equal(during.handles - afterwards.handles, 1);
  assert.ok(during.heapBytes > 0 && during.uptimeMs >= before.uptimeMs && before.uptimeMs > 0);
});

test('sees that the event loop stood still, and for how long', async () => {
  using gauge = new ProcessGauge();
  assert.ok(gauge.read().loopDelay.maxUs < 250_000);
  // A delay counts from one look of the gauge's own to the next; the first look is yet to come.
  await until('the delay is seen', () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    return gauge.read().loopDelay.maxUs >= 250_000;
  });
  const { p50Us, p99Us, maxUs } = gauge.read().loopDelay;
  assert.ok(maxUs < 3_000_000, String(maxUs));
  assert.ok(p50Us <= p99Us && p99Us <= maxUs);
});
