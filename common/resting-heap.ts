import { collect } from './collector.ts';

/** A process that used less of a processor than this, of its time, rests. */
const restingShare = 0.05;
/** So many times in a row. */
const restingPeriods = 2;

/**
 * Gives back to the host what the work of this process has left in V8's heap, once after each work, when the process has
 * come to rest: left alone, V8 keeps it for as long as nothing happens. It takes some 40 ms for the agent's heap. Dispose of
 * it to stop that.
 */
export function tidyHeapAtRest(periodMs = 3_000, tidy = tidyAll): Disposable {
  let calmPeriods = 0;
  let before = usedMs();
  const timer = setInterval(() => {
    const now = usedMs();
    const isCalm = now - before < periodMs * restingShare;
    before = now;
    calmPeriods = isCalm ? calmPeriods + 1 : 0;
    if (calmPeriods === restingPeriods) tidy();
  }, periodMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Old and young, and what was compiled for a task that may not come again: it is compiled anew when it does. */
function tidyAll(): void {
  collect({ type: 'major', flavor: 'last-resort' });
}

/** Of a processor, by this process. */
function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
