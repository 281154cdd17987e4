import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { quoted } from '../../../common/quoted.ts';

test('puts quotes around a text and escapes the quotes in it', () => {
  assert.equal(quoted('a "b" \\'), '"a \\"b\\" \\\\"');
});

test('shows control characters by their number', () => {
  assert.equal(quoted('a\nb\u007f\u0085'), '"a\\nb\\u007f\\u0085"');
});

test('cuts a long text', () => {
  assert.equal(quoted('x'.repeat(81)), `"${'x'.repeat(80)}…"`);
  assert.equal(quoted('x'.repeat(80)), `"${'x'.repeat(80)}"`);
});

test('never breaks the line it stands in', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(quoted(text), /\p{Cc}|\p{Cs}/u);
    }),
  );
});
