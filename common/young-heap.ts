import { collect } from './collector.ts';

/**
 * To be told of the bytes of output that pass through this process: cleans the young part of V8's heap each time that
 * so many have. They lie outside of the heap, in objects that are few and small: its young part, where dead ones are
 * found in a millisecond, takes long to fill, and meanwhile V8 goes by the bytes and searches all of the heap. What is
 * under way should be less than these bytes: what is still in use at two cleanings in a row grows old.
 */
export function youngHeapCleaner(eachBytes: number): (passedBytes: number) => void {
  let passed = 0;
  return (bytes) => {
    passed += bytes;
    if (passed < eachBytes) return;
    passed = 0;
    collect({ type: 'minor' });
  };
}
