import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { LineBuffer, longestLineBytes } from '../../../cli/output/line-buffer.ts';

function lines(...chunks: (string | Uint8Array)[]): string[] {
  const buffer = new LineBuffer();
  const out = chunks.flatMap((chunk) => buffer.push(Buffer.from(chunk)));
  return [...out, ...buffer.flush()].map((line) => Buffer.from(line).toString());
}

const cases: readonly [what: string, chunks: string[], expected: string[]][] = [
  ['whole lines', ['a\nb\n'], ['a', 'b']],
  ['a line over three chunks', ['a', 'b', 'c\nd\n'], ['abc', 'd']],
  ['empty lines', ['\n\na\n'], ['', '', 'a']],
  ['a last line without an end', ['a\nb'], ['a', 'b']],
  ['nothing', [], []],
  ['ends of lines as Windows writes them', ['a\r\nb\r', '\nc'], ['a', 'b', 'c']],
  ['a progress in one chunk', ['1%\r2%\r3%\nx\n'], ['3%', 'x']],
  ['a progress that never ends its line', ['1%\r', '2%\r', '3%\r'], ['3%']],
  ['a line of carriage returns only', ['\r\r\n'], ['']],
];
for (const [what, chunks, expected] of cases) {
  test(`cuts ${what}`, () => {
    assert.deepEqual(lines(...chunks), expected);
  });
}

test('gives the same lines however the bytes are cut', () => {
  const text = fc.array(fc.constantFrom('a', 'é', '€', '\n', '\r\n', ' '), { maxLength: 60 });
  fc.assert(
    fc.property(text, fc.array(fc.nat(100), { maxLength: 8 }), (parts, cuts) => {
      const bytes = Buffer.from(parts.join(''));
      const places = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
      const chunks = places.map((end, index) => bytes.subarray(places[index - 1] ?? 0, end));
      assert.deepEqual(lines(...chunks), lines(bytes));
    }),
  );
});

test('hands out a line that grows without an end, in whole characters', () => {
  const buffer = new LineBuffer();
  const euros = Buffer.from('€'.repeat(40_000));
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < euros.length; at += 1000) pieces.push(...buffer.push(euros.subarray(at, at + 1000)));
  const first = pieces[0] ?? new Uint8Array();
  assert.ok(first.length > longestLineBytes - 1000 && first.length % 3 === 0);
  assert.equal(Buffer.concat([...pieces, ...buffer.flush()]).compare(euros), 0);
});

test('forgets what a long progress has overwritten', () => {
  const buffer = new LineBuffer();
  const shown = Array.from({ length: 20_000 }, (_, index) =>
    buffer.push(Buffer.from(`step ${index}\r`)),
  ).flat();
  assert.deepEqual(shown, []);
  assert.deepEqual(
    buffer.flush().map((line) => Buffer.from(line).toString()),
    ['step 19999'],
  );
});
