import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'dotenv';
import * as fc from 'fast-check';
import { parseEnvFile } from '../../../../agent/stacks/env-file.ts';

/*
 * Where the file leaves no room for opinions (no expansion, no escapes, no `#` inside a word), our reader and the npm
 * package dotenv read the same. The rest is compose's own dialect: see env-file.test.ts.
 */
const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/);
const word = fc.stringMatching(/^[\w.,:/@%+=-]{0,12}$/);
const phrase = fc.stringMatching(/^[\w.,:/@%+= ;!?\n#-]{0,20}$/);
const value = fc.oneof(
  word,
  fc.tuple(word, word).map((words) => words.join(' ')),
  phrase.map((text) => `'${text}'`),
  phrase.map((text) => `"${text}"`),
  word.filter((text) => text !== '').map((text) => `${text} # a comment`),
);
const assignment = fc
  .tuple(
    fc.constantFrom('', 'export ', '  '),
    name,
    fc.constantFrom('=', '=  '),
    value,
    fc.constantFrom('', ' '),
  )
  .map((parts) => parts.join(''));
const line = fc.oneof({ weight: 6, arbitrary: assignment }, fc.constantFrom('', '# a comment', '  # more'));
const nothing = { wins: () => undefined, falls: () => undefined };

test('reads plain files as dotenv does', () => {
  const property = fc.property(fc.array(line), fc.constantFrom('\n', '\r\n'), (lines, newline) => {
    const text = lines.join(newline);
    assert.deepEqual(Object.fromEntries(parseEnvFile(text, nothing, '.env')), parse(text));
  });
  fc.assert(property, { numRuns: 2_000 });
});
