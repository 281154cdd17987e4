import { readFileSync } from 'node:fs';

/** A process, told apart from a later one with the same pid by when it started (in clock ticks since boot). */
export interface ProcessIdentity {
  pid: number;
  startTime: string;
}

/** The identity of the process `pid`, or undefined when there is none. A zombie counts as none. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  // pid (comm) state … : comm may hold spaces and parentheses; the start time is field 22
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTime = fields[19];
  if (startTime === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, startTime };
}

/** Tells whether exactly this process still runs. */
export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime;
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
