import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSize } from '../../../common/sizes.ts';

const sizes: readonly [text: string, bytes: number][] = [
  ['0', 0],
  ['1000', 1000],
  ['512B', 512],
  ['3KiB', 3072],
  ['64MiB', 64 * 1024 * 1024],
  ['2GiB', 2 * 1024 ** 3],
];
for (const [text, bytes] of sizes) {
  test(`${text} is ${bytes} bytes`, () => assert.equal(parseSize(text, 'X'), bytes));
}

for (const text of ['', '-1', '1.5MiB', '64 MiB', '64M', '64mib', 'much']) {
  test(`${JSON.stringify(text)} is refused by name`, () => {
    assert.throws(() => parseSize(text, 'KOMPOSE_KEPT_OUTPUT'), {
      code: 'usage',
      message: `KOMPOSE_KEPT_OUTPUT is a size such as 64MiB, not ${JSON.stringify(text)}`,
    });
  });
}
