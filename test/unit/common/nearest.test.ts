import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { editDistance, nearest } from '../../../common/nearest.ts';

describe('nearest', () => {
  const stacks = ['sexy', 'news', 'proxy', 'sexy-2', 'database', 'data'];
  const cases: readonly [word: string, candidates: readonly string[], expected: readonly string[]][] = [
    ['sexi', stacks, ['sexy']],
    ['sxey', stacks, ['sexy']],
    ['SEXY', stacks, ['sexy', 'sexy-2']],
    ['se', stacks, ['sexy', 'sexy-2']],
    ['proxi', stacks, ['proxy']],
    ['dat', stacks, ['data', 'database']],
    ['databse', stacks, ['database']],
    ['newss', stacks, ['news']],
    ['zzzz', stacks, []],
    ['', stacks, []],
    ['a', ['b', 'ab'], ['ab']],
    ['n', stacks, ['news']],
    ['sexy', [], []],
    ['ünii', ['ünï'], ['ünï']],
    ['cafe', ['café', 'cafés'], ['café', 'cafés']],
    ['日木語', ['日本語'], ['日本語']],
    ['ab', ['abcdef', 'ac', 'abc'], ['abc', 'abcdef', 'ac']],
    ['abc', ['abd', 'abe', 'abf', 'abg'], ['abd', 'abe', 'abf']],
    ['abc', ['abd', 'abd', 'abe'], ['abd', 'abe']],
    ['completely-other', ['x'], []],
  ];
  for (const [word, candidates, expected] of cases) {
    test(`takes ${JSON.stringify(word)} for ${expected.join(', ') || 'nothing'}`, () => {
      assert.deepEqual(nearest(word, candidates), expected);
    });
  }

  test('gives at most as many as asked for', () => {
    assert.deepEqual(nearest('ab', ['ab1', 'ab2', 'ab3'], 2), ['ab1', 'ab2']);
    assert.deepEqual(nearest('ab', ['ab1'], 0), []);
    assert.deepEqual(nearest('ab', ['ab1'], -1), []);
  });

  test('gives candidates only, each once, and a candidate itself first', () => {
    const words = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(words, fc.array(words, { minLength: 1 }), (word, candidates) => {
        const found = nearest(word, [...candidates, word]);
        assert.equal(found[0], word);
        assert.equal(new Set(found).size, found.length);
        assert.ok(found.length <= 3);
        for (const name of found) assert.ok(name === word || candidates.includes(name));
      }),
    );
  });
});

describe('editDistance', () => {
  const cases: readonly [from: string, to: string, distance: number][] = [
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['abc', 'abc', 0],
    ['abc', 'abd', 1],
    ['abc', 'ab', 1],
    ['abc', 'xabc', 1],
    ['abcd', 'abdc', 1],
    ['ab', 'ba', 1],
    ['kitten', 'sitting', 3],
    ['ca', 'abc', 3],
  ];
  for (const [from, to, distance] of cases) {
    test(`finds ${distance} between ${JSON.stringify(from)} and ${JSON.stringify(to)}`, () => {
      assert.equal(editDistance(from, to), distance);
    });
  }

  test('is the same both ways, and never more than the longer word', () => {
    const words = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
    fc.assert(
      fc.property(words, words, (a, b) => {
        assert.equal(editDistance(a, b), editDistance(b, a));
        assert.ok(editDistance(a, b) <= Math.max(a.length, b.length));
        assert.equal(editDistance(a, b) === 0, a === b);
      }),
    );
  });
});
