import assert from 'node:assert/strict';
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { mock, test } from 'node:test';
import { tidyHeapAtRest } from '../../../common/resting-heap.ts';

const periodMs = 1_000;

test('a process that has come to rest tidies its heap, once after each work', (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  const tidied: string[] = [];
  let phase = 'after the start';
  const tidying = tidyHeapAtRest(periodMs, () => void tidied.push(phase));
  pass(1);
  assert.deepEqual(tidied, []);
  pass(5);
  assert.deepEqual(tidied, ['after the start']);
  phase = 'while it works';
  for (let period = 0; period < 3; period++) {
    work();
    pass(1);
  }
  pass(1);
  phase = 'after its work';
  pass(5);
  assert.deepEqual(tidied, ['after the start', 'after its work']);
  work();
  pass(1);
  tidying[Symbol.dispose]();
  pass(5);
  assert.equal(tidied.length, 2);
});

test('all of the heap is collected', { timeout: 20_000 }, async (t) => {
  const seen = Promise.withResolvers<PerformanceEntry>();
  const observer = new PerformanceObserver((list) => {
    const entry = list.getEntries().find(isMajor);
    if (entry !== undefined) seen.resolve(entry);
  });
  observer.observe({ entryTypes: ['gc'] });
  t.after(() => observer.disconnect());
  using _ = tidyHeapAtRest(20);
  // The process would end: what it waits for is no reason to go on.
  const staysUp = setInterval(() => undefined, 1_000);
  t.after(() => clearInterval(staysUp));
  await seen.promise;
});

function isMajor(entry: PerformanceEntry): boolean {
  const { kind } = (entry as PerformanceEntry & { detail: { kind: number } }).detail;
  return kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}

function pass(periods: number): void {
  for (let period = 0; period < periods; period++) mock.timers.tick(periodMs);
}

/** More than a twentieth of a period. */
function work(): void {
  const { user, system } = process.cpuUsage();
  const used = (): number => process.cpuUsage().user + process.cpuUsage().system - user - system;
  while (used() < periodMs * 1000 * 0.06);
}
