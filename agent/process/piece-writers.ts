import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isScarcity } from '../../common/errors.ts';
import type { OutputStream } from '../../common/task-event.ts';
import { readNow } from './scarcity.ts';

/**
 * Whether the `dd` of a stream of a step has something in its hand that is not in its piece yet (`keeper.ts`): one that
 * has nothing sleeps until more comes. On a busy machine that may take longer than any grace.
 */
export function hasInHand(folder: string, stream: OutputStream): boolean {
  const pieces = join(folder, `${stream}.`);
  const found = readNow(() => readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && isAtWork(pid, pieces)));
  return found?.found ?? true;
}

function isAtWork(pid: string, pieces: string): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0of=${pieces}`)) return false;
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const state = stat.charAt(stat.lastIndexOf(')') + 2);
    return state !== 'S' && state !== 'Z';
  } catch (error) {
    if (isScarcity(error)) throw error;
    // It has ended meanwhile.
    return false;
  }
}
