/*
 * How long the output of a process that has ended is waited for where a background job of its holds the stream open:
 * until nothing has come for a grace, or more than the process itself can have left on its way; a job that writes all
 * the time has no grace after a while.
 */

const graceMs = 200;
/** So long after a process has ended, a background job of its is given that grace. */
const longestLateMs = 2000;
/** And then that long a pause in what it writes is enough. */
const shortestPauseMs = 10;
/** A pipe holds 64 KiB, and the streams on top of it about as much again. */
const leftOnItsWayBytes = 512 * 1024;

/** Of one stream, as it stands. */
export interface LateOutput {
  /** How long ago the process ended, and when something was taken last. */
  readonly endedMs: number;
  readonly idleMs: number;
  /** Taken of what came after the end. */
  readonly lateBytes: number;
}

/** Whether so much has come after a process's end that the last of it cannot be its own. Pure. */
export function isPastItsOwn(lateBytes: number): boolean {
  return lateBytes > leftOnItsWayBytes;
}

/** Whether what comes now is a background job's. Pure. */
export function isOthersOutput({ endedMs, idleMs, lateBytes }: LateOutput): boolean {
  if (isPastItsOwn(lateBytes)) return true;
  return Math.min(idleMs, endedMs) > (endedMs > longestLateMs ? shortestPauseMs : graceMs);
}
