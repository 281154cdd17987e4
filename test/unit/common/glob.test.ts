import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compileGlob } from '../../../common/patterns.ts';
import { assertUsageError } from './usage-error.ts';

const cases: readonly { glob: string; matches: readonly string[]; misses: readonly string[] }[] = [
  { glob: 'sexy', matches: ['sexy'], misses: ['', 'sex', 'sexyy', 'Sexy', ' sexy'] },
  { glob: '*', matches: ['', 'a', '.a', 'a/b', '🐳'], misses: [] },
  { glob: '?', matches: ['a', '🐳', '*'], misses: ['', 'ab'] },
  { glob: 'prod-*', matches: ['prod-', 'prod-1'], misses: ['prod', 'a-prod-1'] },
  { glob: '*-db', matches: ['-db', 'a-db', 'a-db-db'], misses: ['a-db2'] },
  { glob: 'a*b*c', matches: ['abc', 'aXbXc', 'abbcc', 'abcbc'], misses: ['ab', 'acb', 'abcd'] },
  { glob: '**', matches: ['', 'abc'], misses: [] },
  { glob: 'a**b', matches: ['ab', 'axb'], misses: ['a'] },
  { glob: '*?', matches: ['a', 'ab'], misses: [''] },
  { glob: '[abc]', matches: ['a', 'b', 'c'], misses: ['d', '', 'ab', '[abc]'] },
  { glob: '[!abc]', matches: ['d', '!', '🐳'], misses: ['a', '', 'dd'] },
  { glob: 'n[0-9]', matches: ['n0', 'n9'], misses: ['n', 'na', 'n-', 'n10'] },
  { glob: '[a-cx-z]', matches: ['a', 'c', 'x', 'z'], misses: ['d', 'w', '-'] },
  { glob: '[!a-c]', matches: ['d', '-'], misses: ['a', 'b', 'c'] },
  { glob: '[]a]', matches: [']', 'a'], misses: ['b'] },
  { glob: '[!]a]', matches: ['b'], misses: [']', 'a'] },
  { glob: '[-a]', matches: ['-', 'a'], misses: ['b'] },
  { glob: '[a-]', matches: ['-', 'a'], misses: ['b'] },
  { glob: '[a^]', matches: ['a', '^'], misses: ['b'] },
  { glob: '[*]', matches: ['*'], misses: ['a'] },
  { glob: '[{]', matches: ['{'], misses: ['}'] },
  { glob: '[🐳-🐵]', matches: ['🐳', '🐴'], misses: ['a'] },
  { glob: ']', matches: [']'], misses: ['['] },
  { glob: '{a,b}', matches: ['a', 'b'], misses: ['', 'c', 'ab', 'a,b'] },
  { glob: '{a}', matches: ['a'], misses: ['{a}'] },
  { glob: 'x{,y}', matches: ['x', 'xy'], misses: ['y', 'xyy'] },
  { glob: '{,}', matches: [''], misses: ['a', ','] },
  { glob: '{a,b{c,d}}e', matches: ['ae', 'bce', 'bde'], misses: ['be', 'ace', 'bc'] },
  { glob: '{a,b}{1,2}', matches: ['a1', 'a2', 'b1', 'b2'], misses: ['a', 'ab', '12'] },
  { glob: '{a*,*b}', matches: ['a', 'ax', 'xb', 'b'], misses: ['xa', 'bx'] },
  { glob: '{[,],x}y', matches: [',y', 'xy'], misses: ['y', ',', '[,]y'] },
  { glob: '{[}],x}y', matches: ['}y', 'xy'], misses: ['y', '}'] },
  { glob: 'a{*,b}*', matches: ['a', 'ab', 'ax'], misses: ['', 'b'] },
  { glob: '*{*,a}', matches: ['', 'a', 'b'], misses: [] },
  { glob: 'a\\*', matches: ['a\\', 'a\\b'], misses: ['a*', 'ab'] },
  { glob: 'a.c', matches: ['a.c'], misses: ['abc'] },
  { glob: '(a|b)+$', matches: ['(a|b)+$'], misses: ['a', 'ab'] },
  { glob: 'a,b', matches: ['a,b'], misses: ['a', 'b'] },
];

for (const { glob, matches, misses } of cases) {
  test(`matches ${glob} to what it means and nothing else`, () => {
    const isMatch = compileGlob(glob);
    for (const name of matches) assert.ok(isMatch(name), `should match ${JSON.stringify(name)}`);
    for (const name of misses) assert.ok(!isMatch(name), `should not match ${JSON.stringify(name)}`);
  });
}

const bad: readonly [glob: string, part: string][] = [
  ['', 'empty'],
  ['{a', '"{" at character 1 is never closed'],
  ['x{a,{b}', '"{" at character 2 is never closed'],
  ['a}', '"}" at character 2 closes nothing'],
  ['{a}}', '"}" at character 4 closes nothing'],
  ['a{}', 'the braces at character 2 are empty'],
  ['[a', '"[" at character 1 is never closed'],
  ['a[]', '"[" at character 2 is never closed'],
  ['[!]', '"[" at character 1 is never closed'],
  ['{a,[b}', '"[" at character 4 is never closed'],
  ['[z-a]', 'the range in "[" at character 1 runs backwards'],
  ['x[^a]', '"[^" at character 2 is not known here; write "[!"'],
  ['a\nb', 'the control character at character 2'],
  ['a\u0000', 'the control character at character 2'],
  ['\u0085', 'the control character at character 1'],
  ['x'.repeat(4097), 'more than 4096 characters'],
  ['{a,b}'.repeat(11), 'too many names'],
  ['{a,b}'.repeat(800), 'too many names'],
];

for (const [glob, part] of bad) {
  test(`refuses the glob ${JSON.stringify(glob).slice(0, 40)}: ${part}`, () => {
    assertUsageError(() => compileGlob(glob), part);
  });
}

test('takes globs up to its bounds', () => {
  assert.ok(compileGlob('x'.repeat(4096))('x'.repeat(4096)));
  assert.ok(compileGlob('{a,b}'.repeat(10))('ab'.repeat(5)));
});

test('answers hostile globs at once', () => {
  const name = 'a'.repeat(255);
  const hostile = [
    `${'*a'.repeat(2000)}b`,
    `${'*a'.repeat(100)}b`,
    `${'a*'.repeat(120)}b`,
    `${'*?'.repeat(127)}b`,
    `${'*'.repeat(4000)}b`,
    `${'*{a,aa}'.repeat(10)}${'*a'.repeat(100)}b`,
    `${'*[a-z]'.repeat(120)}b`,
  ];
  const start = process.cpuUsage();
  for (const glob of hostile) assert.equal(compileGlob(glob)(name), false);
  const { user } = process.cpuUsage(start);
  assert.ok(user < 2_000_000, `took ${user} µs of CPU`);
});

const rewritten: ReadonlyMap<string, string> = new Map([
  ['?', '.'],
  ['*', '.*'],
  ['[!', '[^'],
  ['{', '(?:'],
  ['}', ')'],
  [',', '|'],
]);

test('agrees with plain backtracking on small globs', () => {
  const unit = fc.constantFrom('a', 'b', '?', '*', '[ab]', '[!a]', '{a,b*}', '{,a}');
  const globs = fc.array(unit, { minLength: 1, maxLength: 5 }).map((units) => units.join(''));
  const names = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
  fc.assert(
    fc.property(globs, names, (glob, name) => {
      const source = glob.replaceAll(/[?*]|\[!|[{},]/g, (char) => rewritten.get(char) ?? char);
      assert.equal(compileGlob(glob)(name), new RegExp(`^${source}$`).test(name));
    }),
    { numRuns: 2000 },
  );
});

test('compiles or refuses any text, and never throws anything else', () => {
  const texts = fc.string({
    unit: fc.constantFrom('a', '-', '*', '?', '[', ']', '{', '}', ',', '!', '^'),
    maxLength: 12,
  });
  fc.assert(
    fc.property(texts, (text) => {
      try {
        compileGlob(text)('a-a');
      } catch (error) {
        assertUsageError(() => {
          throw error;
        });
      }
    }),
    { numRuns: 3000 },
  );
});
