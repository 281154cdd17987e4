import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { missingForController, missingNode } from '../../../bin/missing-node.ts';
import manifest from '../../../package.json' with { type: 'json' };

describe('the Node that a program needs', () => {
  for (const [version, willDo, willServe] of [
    ['20.20.2', false, false],
    ['24.0.0', true, false],
    ['24.9.0', true, false],
    ['24.21.0', true, false],
    ['24.22.0', true, true],
    ['25.9.0', true, false],
    ['26.8.2', true, false],
    ['26.10.0', true, true],
    ['27.0.0', true, true],
  ] as const) {
    it(`${version} is ${willDo ? 'one' : 'none'}, for a controller ${willServe ? 'too' : 'none'}`, () => {
      assert.equal(missingNode(version) === undefined, willDo);
      assert.equal(missingForController(version) === undefined, willServe);
    });
  }

  for (const [name, version] of Object.entries(manifest.optionalDependencies)) {
    it(`is ${name}, which comes along`, () => assert.equal(missingForController(version), undefined));
  }
});
