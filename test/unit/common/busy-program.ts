import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { watchWork } from '../../../common/work-and-rest.ts';
import { isMajor } from './is-major.ts';

/* Works for a second, rests, says so and works for a moment more; watched, unless its argument is `unwatched`. */

type Add = (one: number, other: number) => number;

const isWatched = process.argv[2] !== 'unwatched';
using _ = isWatched ? watchWork({ periodMs: 100 }) : undefined;
const endMs = performance.now() + 1_000;
while (performance.now() < endMs) {
  work((one, other) => (one + other) % 1_000, 10_000);
  await nextTurn();
}
if (isWatched) await rest();
console.log('at rest');
// In one turn: nobody is told of it.
for (let round = 0; round < 1_000; round++) work((one, other) => (one + 3 * other) % 999, 10_000);

/** Resolves when all of the heap has been collected, with which a rest begins. */
async function rest(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const observer = new PerformanceObserver((list) => {
    if (list.getEntries().some(isMajor)) resolve();
  });
  observer.observe({ entryTypes: ['gc'] });
  const staysUp = setInterval(() => undefined, 1_000);
  await promise.finally(() => clearInterval(staysUp));
  observer.disconnect();
}

function work(add: Add, times: number): number {
  let sum = 0;
  for (let count = 0; count < times; count++) sum = add(sum, count);
  return sum;
}
