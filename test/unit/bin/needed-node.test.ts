import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { missingNode } from '../../../bin/needed-node.ts';

const forController = 'Node 24.22, 26.9 or newer, which a controller needs';

describe('the Node that a program needs', () => {
  for (const [version, program, missing] of [
    ['20.20.2', 'prod-1:sexy', 'Node 24 or newer'],
    ['24.0.0', 'prod-1:sexy', undefined],
    ['24.0.0', undefined, undefined],
    ['24.0.0', 'agent', undefined],
    ['20.20.2', 'controller', forController],
    ['24.9.0', 'controller', forController],
    ['24.21.0', 'controller', forController],
    ['24.22.0', 'controller', undefined],
    ['25.9.0', 'controller', forController],
    ['26.8.2', 'controller', forController],
    ['26.10.0', 'controller', undefined],
    ['27.0.0', 'controller', undefined],
  ] as const) {
    it(`says for ${program ?? 'no arguments'} under ${version}: ${missing ?? 'it will do'}`, () => {
      assert.equal(missingNode(version, program), missing);
    });
  }

  it('is met by the one that comes along', () => {
    assert.equal(missingNode(process.versions.node, 'controller'), undefined);
  });
});
