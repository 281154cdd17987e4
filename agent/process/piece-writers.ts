import { readdirSync, readFileSync } from 'node:fs';

/**
 * Whether a `dd` of a step's keeper has something in its hand that is not in its piece yet (`keeper.ts`): one that has
 * nothing sleeps until more comes. On a busy machine that may take longer than any grace.
 */
export function hasInHand(folder: string): boolean {
  return readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && isAtWork(pid, folder));
}

function isAtWork(pid: string, folder: string): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0of=${folder}/`)) return false;
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const state = stat.charAt(stat.lastIndexOf(')') + 2);
    return state !== 'S' && state !== 'Z';
  } catch {
    // It has ended meanwhile.
    return false;
  }
}
