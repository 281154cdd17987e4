import { describe, test } from 'node:test';
import { fuzz } from '../fuzz/fuzz.ts';
import { fuzzLivePort } from '../fuzz/live.ts';
import { fuzzTargets } from '../fuzz/parsers.ts';

/** `npm run fuzz` takes longer, and another seed each time. */
const inputs = 100;
const seed = 20_260_101;

describe(`nothing breaks, or takes long, of ${inputs} hostile`, () => {
  for (const target of fuzzTargets) test(target.name, () => fuzz(target, inputs, seed));
});

test('the live port takes hostile bytes, frames and messages, and serves on', async (t) => {
  const count = await fuzzLivePort(t, 20, seed);
  t.diagnostic(`${count} inputs`);
});
