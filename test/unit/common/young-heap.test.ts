import assert from 'node:assert/strict';
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { test } from 'node:test';
import { youngHeapCleaner } from '../../../common/young-heap.ts';

interface Collection extends PerformanceEntry {
  readonly detail: { readonly kind: number; readonly flags: number };
}

test('the young heap alone is cleaned, each time that so many bytes have passed', async (t) => {
  const forced: number[] = [];
  const outputPassed = youngHeapCleaner(4 * 2 ** 20);
  const seen = Promise.withResolvers<void>();
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries() as Collection[]) {
      const { kind, flags } = detail;
      if ((flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0) forced.push(kind);
    }
    if (forced.length > 0) seen.resolve();
  });
  observer.observe({ entryTypes: ['gc'] });
  t.after(() => observer.disconnect());
  for (let passed = 0; passed < 8 * 2 ** 20; passed += 2 ** 16) outputPassed(2 ** 16);
  await seen.promise;
  assert.deepEqual(new Set(forced), new Set([constants.NODE_PERFORMANCE_GC_MINOR]));
  assert.equal(forced.length, 2);
});
