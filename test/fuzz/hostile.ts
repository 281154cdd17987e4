import * as fc from 'fast-check';
import { evilTexts } from '../security/evil.ts';

/** What is done to bytes that were fine; `at` and `size` are parts of their length. */
interface Mutation {
  readonly kind: 'flip' | 'remove' | 'repeat' | 'insert' | 'cut';
  readonly at: number;
  readonly size: number;
  readonly bytes: Uint8Array;
}

/** A repetition may make an input of kilobytes one of this many bytes, where slow code shows. */
const mostBytes = 64 * 1024;

const part = fc.double({ min: 0, max: 1, noNaN: true });
const piece = fc.oneof(
  fc.uint8Array({ maxLength: 8 }),
  fc.constantFrom(...Object.values(evilTexts).filter(({ length }) => length < 100)).map(toBytes),
  fc
    .constantFrom('{', '}', '${', '[', ']', '*', ',', '!', ':', '"', "'", '\\', '#', '=', '\n', ' ')
    .map(toBytes),
);
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('flip', 'remove', 'repeat', 'insert', 'cut'),
  at: part,
  size: part,
  bytes: piece,
});

/** Bytes that were fine and are not quite so any more, and some that never were. */
export function hostileBytes(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const [first = new Uint8Array(), ...rest] = seeds;
  const mutated = fc
    .tuple(fc.constantFrom(first, ...rest), fc.array(mutation, { minLength: 1, maxLength: 6 }))
    .map(([seed, mutations]) => mutations.reduce(mutate, seed));
  return fc.oneof(
    { weight: 4, arbitrary: mutated },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  );
}

/** The same as text; what is no UTF-8 becomes what a decoder makes of it. */
export function hostileText(seeds: readonly string[]): fc.Arbitrary<string> {
  const mutated = hostileBytes(seeds.map(toBytes)).map((bytes) => Buffer.from(bytes).toString('utf8'));
  return fc.oneof(
    { weight: 4, arbitrary: mutated },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
  );
}

function mutate(bytes: Uint8Array, { kind, at, size, bytes: more }: Mutation): Uint8Array {
  const start = Math.floor(at * bytes.length);
  const end = start + Math.floor(size * (bytes.length - start));
  const [before, inside, after] = [bytes.subarray(0, start), bytes.subarray(start, end), bytes.subarray(end)];
  switch (kind) {
    case 'flip':
      return bytes.map((byte, index) => (index === start ? byte ^ (1 << Math.floor(size * 7)) : byte));
    case 'remove':
      return Buffer.concat([before, after]);
    case 'repeat': {
      const times = Math.min(4_096, Math.floor(mostBytes / Math.max(1, inside.length)));
      return Buffer.concat([before, ...Array.from({ length: times }, () => inside), after]);
    }
    case 'insert':
      return Buffer.concat([before, more, bytes.subarray(start)]);
    case 'cut':
      return before;
  }
}

function toBytes(text: string): Buffer {
  return Buffer.from(text);
}
