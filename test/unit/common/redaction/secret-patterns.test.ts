import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { secretPatterns } from '../../../../common/redaction/secret-patterns.ts';

function literals(...values: string[]): string[] {
  return secretPatterns(values).literal.map((pattern) => Buffer.from(pattern).toString());
}

function base64s(...values: string[]): string[] {
  return secretPatterns(values).base64.map((pattern) => Buffer.from(pattern).toString());
}

test('a plain value is its own and only literal form', () => {
  assert.deepEqual(literals('hunter22'), ['hunter22']);
});

test('values of less than 4 characters have no forms, however many bytes they have', () => {
  for (const value of ['', 'abc', '🔑🔑🔑', 'ä\nö\nü'.slice(0, 3)]) {
    assert.deepEqual(secretPatterns([value]), { literal: [], base64: [] });
  }
  assert.ok(literals('🔑🔑🔑🔑').includes('🔑🔑🔑🔑'));
});

test('each line of a value counts, but for short and blank ones', () => {
  const found = literals('first line\r\nab\n    \nlast one\n');
  for (const line of ['first line', 'last one']) assert.ok(found.includes(line), line);
  for (const line of ['ab', '    ']) assert.ok(!found.includes(line), line);
});

test('the password inside a URL counts, as it is written and percent-decoded', () => {
  const cases: [string, string[]][] = [
    ['postgres://user:pa55word@host/db', ['pa55word']],
    ['postgres://user:p%40ss%2Fword@host:5432/db?x=a@b', ['p%40ss%2Fword', 'p@ss/word']],
    ['redis://:topsecret@cache:6379', ['topsecret']],
    ['amqp://a:first@h1,amqp://b:second@h2', ['first', 'second']],
    ['mysql://user:with/slash#@host/db', ['with/slash#']],
    ['postgres://u:one@two@host/db', ['one@two']],
    ['jdbc:postgresql://host/db?user=app&password=inquery', ['inquery']],
    ['https://host/x?api_key=%61bcd', ['abcd']],
    ['{"a":"http://u:injson@h/"}', ['injson']],
  ];
  for (const [value, passwords] of cases) {
    const found = literals(value);
    for (const password of passwords) assert.ok(found.includes(password), `${password} of ${value}`);
  }
});

test('user, host and database of a URL do not count', () => {
  for (const value of [
    'postgres://someuser@somehost/somedb',
    'postgres://someuser:pa55word@somehost/somedb',
  ]) {
    const found = literals(value);
    for (const part of ['someuser', 'somehost', 'somedb']) assert.ok(!found.includes(part), part);
  }
});

test('quoted by JSON, YAML and compose, with a doubled dollar', () => {
  const found = literals(`a"b\\c<d>'$e`);
  for (const form of [
    `a\\"b\\\\c<d>'$e`,
    `a\\"b\\\\c\\u003cd\\u003e'$e`,
    `a"b\\c<d>''$e`,
    `a"b\\c<d>'$$e`,
    `a\\"b\\\\c<d>'$$e`,
  ]) {
    assert.ok(found.includes(form), form);
  }
});

test('URL-encoded as encodeURIComponent, encodeURI and forms do it, in both cases of the digits', () => {
  const property = fc.property(fc.string({ minLength: 4, unit: 'grapheme' }), (value) => {
    const found = new Set(literals(value));
    const form = new URLSearchParams({ x: value }).toString().slice(2);
    for (const encoded of [encodeURIComponent(value), encodeURI(value), form]) {
      assert.ok(found.has(encoded), encoded);
      assert.ok(found.has(encoded.replaceAll(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase())), encoded);
    }
  });
  fc.assert(property);
});

test('base64 holds a form at each alignment, and nothing longer is determined by the value', () => {
  const bytes = fc.uint8Array({ maxLength: 7 });
  const property = fc.property(
    bytes,
    fc.string({ minLength: 4, maxLength: 12 }),
    bytes,
    (before, value, behind) => {
      const whole = Buffer.concat([before, Buffer.from(value), behind]);
      for (const encoding of ['base64', 'base64url'] as const) {
        const encoded = whole.toString(encoding);
        const lengths = base64s(value)
          .filter((form) => encoded.includes(form))
          .map((form) => form.length);
        const start = Math.ceil((before.length * 8) / 6);
        const end = Math.floor(((before.length + Buffer.byteLength(value)) * 8) / 6);
        assert.ok(Math.max(...lengths) >= end - start, encoded);
      }
    },
  );
  fc.assert(property);
  assert.deepEqual(
    base64s('abcd').toSorted(),
    ['FiY2', 'FiY2Q', 'FiY2Q=', 'YWJjZ', 'YWJjZA', 'YWJjZA==', 'hYmNk'].toSorted(),
  );
});

test('no pattern is shorter than 4 bytes, and none is there twice', () => {
  const property = fc.property(fc.array(fc.string({ unit: 'binary' })), (values) => {
    for (const patterns of Object.values(secretPatterns(values))) {
      const texts = patterns.map((pattern: Uint8Array) => Buffer.from(pattern).toString('latin1'));
      assert.ok(texts.every((text: string) => text.length >= 4));
      assert.equal(new Set(texts).size, texts.length);
    }
  });
  fc.assert(property);
});
