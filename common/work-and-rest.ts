import { setFlagsFromString } from 'node:v8';
import { collect } from './collector.ts';

/** A process works that used more of a processor than this, of its time. */
const workingShare = 0.25;
/** And rests that used less than this, */
const restingShare = 0.05;
/** so many times in a row. */
const restingPeriods = 6;

interface WorkWatch {
  readonly periodMs?: number;
  /** Called once, when the process has begun to work. */
  readonly onWork?: () => void;
  /** Called once after each work, however little, when the process has come to rest. */
  readonly onRest?: () => void;
}

/**
 * Has V8 optimize what a process does for as long as it works, and gives back to the host what that has left in V8's heap
 * when it has come to rest: left alone, V8 keeps it for as long as nothing happens, and optimizes what is done now and then.
 * A rest begins with some 40 ms of collecting, for the agent's heap. Dispose of it to stop that.
 */
export function watchWork({
  periodMs = 1_000,
  onWork = optimize,
  onRest = tidy,
}: WorkWatch = {}): Disposable {
  let isWorking = false;
  let calmPeriods = 0;
  let before = usedMs();
  const timer = setInterval(() => {
    const now = usedMs();
    const share = (now - before) / periodMs;
    before = now;
    if (share > workingShare && !isWorking) {
      isWorking = true;
      onWork();
    }
    calmPeriods = share < restingShare ? calmPeriods + 1 : 0;
    if (calmPeriods === restingPeriods) {
      isWorking = false;
      onRest();
    }
  }, periodMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** V8 asks each time whether it may. */
function optimize(): void {
  setFlagsFromString('--turbofan');
}

/** Old and young, and what was compiled for a task that may not come again: it is compiled anew when it does. */
function tidy(): void {
  setFlagsFromString('--no-turbofan');
  collect({ type: 'major', flavor: 'last-resort' });
}

/** Of a processor, by this process. */
function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
