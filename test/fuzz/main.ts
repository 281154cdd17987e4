/*
 * npm run fuzz [-- --inputs N] [--seed S] [WORD...]: so many hostile inputs (10,000 unless told otherwise) to everything that
 * reads what may come from an enemy and whose name holds a word, then a twentieth of that, of each kind and by each
 * caller, to the live port. It says the seed, with which the same come again, and how many there were.
 */
import { test } from 'node:test';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';
import { fuzzLivePort } from './live.ts';
import { fuzzTargets } from './parsers.ts';

const { values, positionals: words } = parseArgs({
  options: {
    inputs: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
  allowPositionals: true,
});
const count = Number(values.inputs);
const seed = Number(values.seed);
const isAsked = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));
let total = 0;
process.stdout.write(`seed ${seed}\n`);

for (const target of fuzzTargets.filter(({ name }) => isAsked(name))) {
  test(target.name, async () => {
    await fuzz(target, count, seed);
    total += count;
  });
}

if (isAsked('live port')) {
  test('live port', async (t) => {
    total += await fuzzLivePort(t, Math.ceil(count / 20), seed);
  });
}

test('how many', () => void process.stdout.write(`${total} inputs, seed ${seed}\n`));
