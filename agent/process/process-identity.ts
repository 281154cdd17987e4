import { readdirSync, readFileSync } from 'node:fs';
import { isScarcity, isSystemError } from '../../common/errors.ts';

/** One process of this machine since it started, and no other. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: pids come round again, start times do not. */
  readonly processStart: string;
}

/** Undefined if there is no such process. */
export function processStart(pid: number): string | undefined {
  return readStat(pid)?.processStart;
}

/** One that has ended and waits for its parent does not count. */
export function isRunning({ pid, processStart: since }: ProcessIdentity): boolean {
  try {
    const stat = readStat(pid);
    return stat?.processStart === since && stat.state !== 'Z';
  } catch {
    // There is no descriptor to see whether it is still the same.
    return isThere(pid);
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return isSystemError(error, 'EPERM');
  }
}

/** The processes that these have begun, and those they have, as far as each one's parent lives. */
export function descentOf(roots: readonly number[]): ProcessIdentity[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const children = Map.groupBy(
    pids.flatMap((pid) => readStat(Number(pid)) ?? []),
    ({ parent }) => parent,
  );
  const found: ProcessIdentity[] = [];
  const parents = [...roots];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const { pid, processStart: since } of children.get(parent) ?? []) {
      found.push({ pid, processStart: since });
      parents.push(pid);
    }
  }
  return found;
}

interface Stat extends ProcessIdentity {
  readonly state: string;
  readonly parent: number;
}

/** Its name, the second field, may hold blanks and brackets. Throws where no descriptor is left. */
function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { pid, state: fields[0] ?? '', parent: Number(fields[1]), processStart: fields[19] ?? '' };
  } catch (error) {
    if (isScarcity(error)) throw error;
    // There is none, or /proc hides it.
    return undefined;
  }
}

/** Changes with each start of the machine (proc(5)). */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
