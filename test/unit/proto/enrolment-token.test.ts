import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatToken, parseToken } from '../../../proto/enrolment-token.ts';
import { KomposeError } from '../../../common/errors.ts';

const word = fc.stringMatching(/^[\x21-\x7e]{1,60}$/);
const address = fc
  .tuple(fc.stringMatching(/^[a-z0-9.[\]:-]{1,30}$/), fc.nat(65_535))
  .map((parts) => parts.join(':'));
const root = fc.oneof(fc.constant(''), fc.stringMatching(/^[0-9a-f]{64}$/));
const user = fc.stringMatching(/^[\w.-]{0,20}\*?$/);
const token = fc.record(
  {
    addresses: fc.array(address, { minLength: 1, maxLength: 4 }),
    caFingerprint: word,
    seed: word,
    root,
    user,
  },
  { noNullPrototype: true },
);

function encoded(value: unknown): string {
  return `kmp1.${Buffer.from(JSON.stringify(value)).toString('base64url')}`;
}

function refusal(text: string): KomposeError {
  try {
    parseToken(text);
  } catch (error) {
    if (error instanceof KomposeError) return error;
    throw error;
  }
  return assert.fail(`${text} was taken`);
}

test('reads back what was formatted', () => {
  fc.assert(fc.property(token, (value) => assert.deepEqual(parseToken(formatToken(value)), value)));
});

test('makes one word that a shell leaves as it is', () => {
  fc.assert(fc.property(token, (value) => assert.match(formatToken(value), /^kmp1\.[A-Za-z0-9_-]+$/)));
});

test('does not mind blanks around a pasted token', () => {
  const value = { addresses: ['c:1'], caFingerprint: 'f', seed: 's', root: '', user: 'ada' };
  assert.deepEqual(parseToken(` \n${formatToken(value)}\r\n`), value);
});

const garbage: readonly [title: string, text: string][] = [
  ['nothing', ''],
  ['another prefix', 'kmp2.WyJhIl0'],
  ['no JSON', 'kmp1.c2VjcmV0LXdvcmQ'],
  ['no array', encoded({ secret: 'secret-word' })],
  ['too few parts', encoded([['c:1'], 'f'])],
  ['too many parts', encoded([['c:1'], 'f', 's', '', '', 'x'])],
  ['no addresses', encoded([[], 'f', 's', '', ''])],
  ['an address without a port', encoded([['c'], 'f', 's', '', ''])],
  ['an address that is no text', encoded([[1], 'f', 's', '', ''])],
  ['an empty secret', encoded([['c:1'], 'f', '', '', ''])],
  ['a secret with a newline', encoded([['c:1'], 'f', 'a\nb', '', ''])],
  ['a secret that is no text', encoded([['c:1'], 'f', 7, '', ''])],
  ['a root that is no fingerprint', encoded([['c:1'], 'f', 's', 'abc', ''])],
  ['a name that is none', encoded([['c:1'], 'f', 's', '', 'a/b'])],
  ['null', encoded(null)],
  ['one without end', `kmp1.${'A'.repeat(5000)}`],
];
for (const [title, text] of garbage) {
  test(`refuses ${title}`, () => {
    const error = refusal(text);
    assert.equal(error.code, 'usage');
    assert.match(error.message, /^this is not a kompose token/);
  });
}

test('never repeats what it refuses, which may be a secret', () => {
  const text = fc.oneof(
    fc.string({ minLength: 12 }),
    fc.string({ minLength: 12 }).map((rest) => `kmp1.${rest}`),
    fc.array(word, { minLength: 1 }).map(encoded),
  );
  fc.assert(
    fc.property(text, (refused) => {
      const { message } = refusal(refused);
      assert.ok(!message.includes(refused.slice(5)), message);
      assert.equal(message, refusal('').message);
    }),
  );
});
