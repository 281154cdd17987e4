import { readFileSync } from 'node:fs';
import { access } from 'node:fs/promises';

export { until } from '../../until.ts';

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A zombie has ended; when it goes from the list is up to init. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}

/** Ends a process that a test has left behind on purpose. */
export function endProcess(pid: number): void {
  if (pid > 1 && isAlive(pid)) process.kill(pid, 'SIGKILL');
}

/** The numbers that stand behind a word, such as `pid 12`. */
export function numbersAfter(word: string, text: string): number[] {
  return [...text.matchAll(new RegExp(`^${word} (\\d+)$`, 'gm'))].map(([, digits]) => Number(digits));
}
