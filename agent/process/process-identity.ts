import { readFileSync } from 'node:fs';

/** One process of this machine since it started, and no other. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: pids come round again, start times do not. */
  readonly processStart: string;
}

/** Undefined if there is no such process. */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

export function isRunning({ pid, processStart: since }: ProcessIdentity): boolean {
  return processStart(pid) === since;
}
