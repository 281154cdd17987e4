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
    collect ??= exposedCollector();
    collect({ type: 'minor' });
  };
}

type Collector = (options: { readonly type: 'minor' }) => void;

let collect: Collector | undefined;

/** V8 shows its collector to contexts that are made once it has been told to. No start waits for these modules. */
function exposedCollector(): Collector {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  const { runInNewContext } = process.getBuiltinModule('node:vm');
  setFlagsFromString('--expose-gc');
  const exposed = runInNewContext('gc') as Collector;
  setFlagsFromString('--no-expose-gc');
  return exposed;
}
