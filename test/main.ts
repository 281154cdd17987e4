import { globSync } from 'node:fs';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/*
 * Runs the tests: `npm test` all of them, `npm test -- unit` or `npm test -- e2e/rig` those whose path holds the
 * word. Each file is a process of its own, four at a time: those on real hosts come first, the longest before all
 * others, since they wait more than they work; the rest fills what they leave of the processor.
 */
const words = process.argv.slice(2);
const order = [
  /07-databases|terminal|pace|locks/,
  /contract\/05-hooks/,
  /test\/(?:e2e|contract)\//,
  /test\/integration\//,
  /./,
];
const rank = (file: string): number => order.findIndex((pattern) => pattern.test(file));
const files = globSync('test/**/*.test.ts')
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));

if (files.length === 0) {
  process.stderr.write(`no test file's path holds ${words.join(' or ')}\n`);
  process.exit(1);
}
const results = run({ files, concurrency: 4 });
results.on('test:fail', () => void (process.exitCode = 1));
for await (const text of results.compose(spec)) process.stdout.write(text);
