import { readdir, readFile } from 'node:fs/promises';

/**
 * The processes whose environment holds `NAME=VALUE`, whatever session or group they have moved to: a hook's whole
 * descent bears its task's mark, `setsid` or not. Only what this user may look into is seen, and nothing that cleared
 * its environment.
 */
async function findMarked(mark: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const marked = await Promise.all(pids.map((pid) => hasMark(pid, mark)));
  return pids.filter((_, at) => marked[at]).map(Number);
}

async function hasMark(pid: string, mark: string): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
  return environment.split('\0').includes(mark);
}

/** SIGTERM to every process that bears the mark, SIGKILL to what is left of them after `graceMs`. */
export async function terminateMarked(mark: string, graceMs: number): Promise<void> {
  const deadline = Date.now() + graceMs;
  let signal: NodeJS.Signals = 'SIGTERM';
  for (let pids = await findMarked(mark); pids.length > 0; pids = await findMarked(mark)) {
    if (signal === 'SIGTERM' || Date.now() > deadline)
      signalAll(pids, Date.now() > deadline ? 'SIGKILL' : signal);
    signal = 'SIGKILL';
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}
