import { setFlagsFromString } from 'node:v8';
import { collect } from './collector.ts';

/** A process works that used more of a processor than this, of its time. */
const workingShare = 0.25;
/** And rests that used less than this, */
const restingShare = 0.05;
/** so many times in a row. */
const restingPeriods = 2;

interface WorkWatch {
  readonly periodMs?: number;
  /** Called once, when the process has begun to work. */
  readonly onWork?: () => void;
  /** Called once after each work, however little, when the process has come to rest. What it takes itself is no work. */
  readonly onRest?: () => void;
}

/**
 * Has V8 optimize what a process does for as long as it works, and gives back to the host what that has left in V8's heap
 * when it has come to rest: left alone, V8 keeps it for as long as nothing happens, and optimizes what is done now and then.
 * The collecting takes some 40 ms for the agent's heap. The watch ends when it is disposed of.
 */
export function watchWork({
  periodMs = 3_000,
  onWork = () => letOptimize(true),
  onRest = tidy,
}: WorkWatch = {}): Disposable {
  let isWorking = false;
  let calmPeriods = 0;
  let before = usedMs();
  const timer = setInterval(() => {
    const share = (usedMs() - before) / periodMs;
    if (share > workingShare && !isWorking) {
      isWorking = true;
      onWork();
    }
    calmPeriods = share < restingShare ? calmPeriods + 1 : 0;
    if (calmPeriods === restingPeriods) {
      isWorking = false;
      onRest();
    }
    before = usedMs();
  }, periodMs).unref();
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      letOptimize(false);
    },
  };
}

/** Old and young, and what was compiled for a task that may not come again: it is compiled anew when it does. */
function tidy(): void {
  letOptimize(false);
  collect({ type: 'major', flavor: 'last-resort' });
}

/**
 * V8 asks each time whether it may. Only of a process that was started without: what it keeps of what it compiled is good
 * for a start with the same flags alone.
 */
function letOptimize(may: boolean): void {
  if (process.execArgv.includes('--no-turbofan')) setFlagsFromString(may ? '--turbofan' : '--no-turbofan');
}

/** Of a processor, by this process. */
function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
