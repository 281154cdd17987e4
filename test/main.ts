import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';

/*
 * Runs the tests: `npm test` all of them, `npm test -- unit` or `npm test -- e2e/rig` those whose path holds the
 * word. Unit, integration and security tests run two files at a time; e2e and contract tests, each file on hosts of
 * its own, three: they wait more than they work.
 */
const words = process.argv.slice(2);
const isAsked = (file: string): boolean => words.length === 0 || words.some((word) => file.includes(word));
const stages = [
  {
    files: ['unit', 'integration', 'security'].map((folder) => `test/${folder}/**/*.test.ts`),
    concurrency: 2,
  },
  { files: ['test/e2e/**/*.test.ts', 'test/contract/**/*.test.ts'], concurrency: 3 },
];

let exitCode = 0;
for (const { files, concurrency } of stages) {
  const asked = globSync(files).filter(isAsked).toSorted();
  if (asked.length === 0) continue;
  const args = ['--test', `--test-concurrency=${concurrency}`, '--test-reporter=spec', ...asked];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  exitCode ||= status ?? 1;
}
process.exitCode = exitCode;
