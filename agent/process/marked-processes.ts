import { readdir, readFile } from 'node:fs/promises';

/** How long killed processes may take to go: a frozen one outlives even SIGKILL. */
const killedMs = 2000;

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

/**
 * SIGTERM to every process that bears the mark, SIGKILL to what is left of them after `graceMs`. Resolves with those
 * that are there even then.
 */
export async function terminateMarked(mark: string, graceMs: number): Promise<number[]> {
  signalAll(await findMarked(mark), 'SIGTERM');
  const left = await untilGone(mark, graceMs, () => undefined);
  if (left.length === 0) return [];
  return untilGone(mark, killedMs, (pids) => signalAll(pids, 'SIGKILL'));
}

/** Waits until no process bears the mark, `limitMs` at most. */
export async function awaitMarked(mark: string, limitMs: number): Promise<void> {
  await untilGone(mark, limitMs, () => undefined);
}

async function untilGone(mark: string, limitMs: number, act: (pids: number[]) => void): Promise<number[]> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const pids = await findMarked(mark);
    if (pids.length === 0 || performance.now() > deadline) return pids;
    act(pids);
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
