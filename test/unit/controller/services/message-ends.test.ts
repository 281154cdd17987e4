import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MessageEnds } from '../../../../controller/services/message-ends.ts';

function framed(body: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

test('finds the end of each message, however the stream of bytes is cut', () => {
  const bodies = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
  fc.assert(
    fc.property(bodies, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (messages, cuts) => {
      const bytes = Buffer.concat(messages.map(framed));
      const ends = new MessageEnds();
      const sizes: number[] = [];
      for (let at = 0, cut = 0; at < bytes.length; cut++) {
        const size = cuts[cut % cuts.length] ?? 1;
        sizes.push(...ends.push(bytes.subarray(at, at + size)));
        at += size;
      }
      assert.deepEqual(
        sizes,
        messages.map(({ length }) => length + 5),
      );
    }),
  );
});

test('a message that is not whole has no end', () => {
  const ends = new MessageEnds();
  assert.deepEqual(ends.push(framed(Buffer.alloc(10)).subarray(0, 14)), []);
  assert.deepEqual(ends.push(Buffer.alloc(1)), [15]);
});
