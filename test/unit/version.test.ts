import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { version } from '../../common/version.ts';

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

test('the programs say the version of package.json', () => {
  assert.equal(version, (JSON.parse(read('package.json')) as { version: string }).version);
});

/** What agents tell their hooks, for the command lines in them: not for users to set. */
const ofHooks = new Set(['KOMPOSE_TASK_ID', 'KOMPOSE_CHAIN']);

test('README names every setting that the programs read', () => {
  const sources = ['agent/config.ts', 'controller/config.ts', 'cli/config.ts', 'common/kompose-home.ts'].map(
    read,
  );
  const settings = new Set(sources.flatMap((source) => source.match(/KOMPOSE_[A-Z_]+/g) ?? []));
  const readme = read('README.md');
  assert.deepEqual(
    [...settings].filter((name) => !ofHooks.has(name) && !readme.includes(name)),
    [],
  );
});
