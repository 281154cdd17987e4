import { readdir, readFile } from 'node:fs/promises';
import { descentOf, isRunning, type ProcessIdentity } from './process-identity.ts';
import { readPatiently } from './scarcity.ts';

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
async function findMarked(sought: Sought): Promise<number[]> {
  const names = await readPatiently(() => readdir('/proc'));
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  return soughtAmong(pids, sought);
}

async function soughtAmong(pids: readonly number[], { mark, kin }: Sought): Promise<number[]> {
  const marked = await Promise.all(pids.map((pid) => bears(pid, (each) => each === mark)));
  const all = [...pids.filter((_, at) => marked[at]), ...kin.filter(isRunning).map(({ pid }) => pid)];
  return [...new Set(all)];
}

async function bears(pid: number, isMark: (variable: string) => boolean): Promise<boolean> {
  const read = (): Promise<string> => readFile(`/proc/${pid}/environ`, 'latin1');
  const environment = await readPatiently(read).catch(() => '');
  return environment.split('\0').some(isMark);
}

/**
 * Those of the descent of some processes that bear no mark of that name: they cleared their environment. Looks at once:
 * a process whose parent has ended is nobody's descent any more.
 */
export async function findUnmarked(roots: readonly number[], name: string): Promise<ProcessIdentity[]> {
  const descent = await readPatiently(() => descentOf(roots));
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
  const left = await awaitGone(sought, graceMs);
  return left.length === 0 ? [] : killSought(sought, name);
}

/** Waits until no process bears the mark, `limitMs` at most. */
export async function awaitMarked(mark: string, limitMs: number): Promise<void> {
  await awaitGone({ mark, kin: [] }, limitMs);
}

/**
 * Waits until none is there, `limitMs` at most, and gives some of those that are even then. To look at all processes of a
 * host takes long: it does so when none is left of those that it knows.
 */
async function awaitGone(sought: Sought, limitMs: number): Promise<number[]> {
  const deadline = performance.now() + limitMs;
  let known = await findMarked(sought);
  while (known.length > 0 && performance.now() < deadline) {
    await pause();
    known = await soughtAmong(known, sought);
    if (known.length === 0) known = await findMarked(sought);
  }
  return known;
}

/** SIGKILL to all of them, and to what they begin meanwhile. Resolves with those that are there even then. */
async function killSought(sought: Sought & { kin: ProcessIdentity[] }, name: string): Promise<number[]> {
  const deadline = performance.now() + killedMs;
  for (;;) {
    const pids = await findMarked(sought);
    if (pids.length === 0 || performance.now() > deadline) return pids;
    // Who stands still begins nobody new, between the look at its descent and its end.
    signalAll(pids, 'SIGSTOP');
    sought.kin.push(...(await findUnmarked(pids, name)));
    signalAll(await findMarked(sought), 'SIGKILL');
    await pause();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 20));
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
