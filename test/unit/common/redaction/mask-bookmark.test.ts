import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Masker, type MaskStream } from '../../../../common/redaction/masker.ts';

/** Few letters, so that secrets overlap, touch, and begin in vain. */
const word = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom('a', 'b', 'c'), { minLength, maxLength }).map((letters) => letters.join(''));

const encoded = (text: string): string =>
  Buffer.from(`some text before it, ${text}, and some behind`)
    .toString('base64')
    .replaceAll(/.{40}/g, '$&\n');

const text = (secrets: readonly string[]) =>
  fc
    .array(
      fc.oneof(
        word(0, 12),
        fc.constantFrom(...secrets, ...secrets.map(encoded), '\n'),
        fc.constantFrom(...secrets).map((secret) => secret.slice(0, -1)),
      ),
      { minLength: 1, maxLength: 12 },
    )
    .map((parts) => parts.join(''));

function push(stream: MaskStream, bytes: Buffer, pieceBytes: number): Buffer {
  const shown: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    shown.push(stream.push(bytes.subarray(at, at + pieceBytes)));
  return Buffer.concat(shown);
}

describe('a stream that goes on from a bookmark', () => {
  test('gives out what the one before it would have', () => {
    const inputs = fc
      .array(word(4, 9), { minLength: 1, maxLength: 3 })
      .chain((secrets) =>
        fc.tuple(fc.constant(secrets), text(secrets), fc.nat(), fc.integer({ min: 1, max: 9 })),
      );
    fc.assert(
      fc.property(inputs, ([secrets, whole, place, pieceBytes]) => {
        const bytes = Buffer.from(whole);
        const cut = place % (bytes.length + 1);
        const stream = new Masker(secrets).stream();
        const before = push(stream, bytes.subarray(0, cut), pieceBytes);
        const { bookmark } = stream;
        const rest = Buffer.concat([push(stream, bytes.subarray(cut), pieceBytes), stream.flush()]);
        const next = new Masker(secrets).resume(bookmark);
        const again = Buffer.concat([
          push(next, bytes.subarray(cut - bookmark.back), pieceBytes),
          next.flush(),
        ]);
        assert.equal(
          again.toString(),
          rest.toString(),
          JSON.stringify({ before: before.toString(), bookmark }),
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('reads little again, whatever came before', () => {
    const stream = new Masker(['hunter2andmore']).stream();
    stream.push(Buffer.alloc(1_000_000, 'no secret, hunter, '));
    assert.ok(stream.bookmark.back < 100);
  });
});
