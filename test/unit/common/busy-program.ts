import { setImmediate as nextTurn } from 'node:timers/promises';
import { watchWork } from '../../../common/work-and-rest.ts';

/* Works for a second; watched, unless its argument says `unwatched`. */

using _ = process.argv[2] === 'unwatched' ? undefined : watchWork({ periodMs: 100 });
const endMs = performance.now() + 1_000;
let sum = 0;
while (performance.now() < endMs) {
  for (let count = 0; count < 10_000; count++) sum = add(sum, count);
  await nextTurn();
}

function add(one: number, other: number): number {
  return (one + other) % 1_000;
}
