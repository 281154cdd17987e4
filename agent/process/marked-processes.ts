import { readdir, readFile } from 'node:fs/promises';
import { descentOf, isRunning, type ProcessIdentity } from './process-identity.ts';

/** How long killed processes may take to go: a frozen one outlives even SIGKILL. */
const killedMs = 2000;

/** Processes to be ended. */
interface Sought {
  /** `NAME=VALUE`. */
  readonly mark: string;
  /** Beside those that bear the mark. */
  readonly kin: readonly ProcessIdentity[];
}

/**
 * The processes whose environment holds `NAME=VALUE`, whatever session or group they have moved to: a hook's whole
 * descent bears its task's mark, `setsid` or not. Only what this user may look into is seen; who cleared its
 * environment is found by its descent, see `findUnmarked`.
 */
async function findMarked({ mark, kin }: Sought): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const marked = await Promise.all(pids.map((pid) => bears(pid, (each) => each === mark)));
  const all = [
    ...pids.filter((_, at) => marked[at]).map(Number),
    ...kin.filter(isRunning).map(({ pid }) => pid),
  ];
  return [...new Set(all)];
}

async function bears(pid: string | number, isMark: (variable: string) => boolean): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
  return environment.split('\0').some(isMark);
}

/**
 * Those of the descent of some processes that bear no mark of that name: they cleared their environment. Looks at once:
 * a process whose parent has ended is nobody's descent any more.
 */
export async function findUnmarked(roots: readonly number[], name: string): Promise<ProcessIdentity[]> {
  const descent = descentOf(roots);
  const marked = await Promise.all(
    descent.map(({ pid }) => bears(pid, (variable) => variable.startsWith(`${name}=`))),
  );
  return descent.filter((_, at) => !marked[at]);
}

/**
 * SIGTERM to every process that bears the mark, to their descent that cleared its environment, and to the `kin`;
 * SIGKILL to what is left of them after `graceMs`. Resolves with those that are there even then.
 */
export async function terminateMarked(
  mark: string,
  graceMs: number,
  kin: readonly ProcessIdentity[] = [],
): Promise<number[]> {
  const name = mark.slice(0, mark.indexOf('='));
  const unmarked = await findUnmarked(await findMarked({ mark, kin }), name);
  const sought = { mark, kin: [...kin, ...unmarked] };
  signalAll(await findMarked(sought), 'SIGTERM');
  const left = await untilGone(sought, graceMs, () => undefined);
  if (left.length === 0) return [];
  return untilGone(sought, killedMs, async (pids) => {
    // Who stands still begins nobody new, between the look at its descent and its end.
    signalAll(pids, 'SIGSTOP');
    sought.kin.push(...(await findUnmarked(pids, name)));
    signalAll(await findMarked(sought), 'SIGKILL');
  });
}

/** Waits until no process bears the mark, `limitMs` at most. */
export async function awaitMarked(mark: string, limitMs: number): Promise<void> {
  await untilGone({ mark, kin: [] }, limitMs, () => undefined);
}

async function untilGone(
  sought: Sought,
  limitMs: number,
  act: (pids: number[]) => void | Promise<void>,
): Promise<number[]> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const pids = await findMarked(sought);
    if (pids.length === 0 || performance.now() > deadline) return pids;
    await act(pids);
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
