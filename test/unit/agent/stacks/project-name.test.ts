import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { normaliseProjectName } from '../../../../agent/stacks/project-name.ts';

const cases: readonly [folder: string, name: string][] = [
  ['sexy', 'sexy'],
  ['My Stack', 'mystack'],
  ['a.b_c-d', 'ab_c-d'],
  ['_-x-_', 'x-_'],
  ['-1', '1'],
  ['Ünï', 'n'],
  ['.._', ''],
  ['日本', ''],
  ['a\nb', 'ab'],
];
for (const [folder, name] of cases) {
  test(`makes ${JSON.stringify(name)} of the folder ${JSON.stringify(folder)}`, () => {
    assert.equal(normaliseProjectName(folder), name);
  });
}

test('makes a legal name or none, and leaves a legal one alone', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (folder) => {
      const name = normaliseProjectName(folder);
      assert.match(name, /^(?:[a-z0-9][a-z0-9_-]*)?$/);
      assert.equal(normaliseProjectName(name), name);
    }),
  );
});
