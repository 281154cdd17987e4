import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { watchWork } from '../../../common/work-and-rest.ts';

/* Works for a second, rests, says so and works for a moment more; watched, unless its argument is `unwatched`. */

type Add = (one: number, other: number) => number;

const periodMs = 100;
using _ = process.argv[2] === 'unwatched' ? undefined : watchWork({ periodMs });
const endMs = performance.now() + 1_000;
while (performance.now() < endMs) {
  work((one, other) => (one + other) % 1_000, 10_000);
  await nextTurn();
}
await delay(10 * periodMs);
console.log('at rest');
// In one turn: nobody is told of it.
for (let round = 0; round < 1_000; round++) work((one, other) => (one + 3 * other) % 999, 10_000);

function work(add: Add, times: number): number {
  let sum = 0;
  for (let count = 0; count < times; count++) sum = add(sum, count);
  return sum;
}
