import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isSystemError, KomposeError } from '../../common/errors.ts';

/*
 * Commands that change a stack wait for one another, in order of arrival, across processes: the agent and local mode
 * on the same stacks root.
 *
 * A stack's lock is the folder `.kompose/locks/<stack>` in the stacks root. Who wants it leaves a numbered ticket
 * there, made whole by link(2); the lowest ticket whose owner lives has the lock.
 *
 * INVARIANTS
 * - A ticket's number is higher than those of all that were there when it was made.
 * - A ticket whose process is gone (told by pid and start time) counts for nothing and is removed by whoever sees it.
 * - Only its owner, or somebody who knows the owner to be dead, removes a ticket.
 */

/** Whom the others wait for. */
export interface LockOwner {
  readonly run: string;
  readonly task: string;
  readonly command: string;
  readonly user: string;
  /** The run that began the chain which the task belongs to: its own, for one that was not chained. */
  readonly chain: string;
}

interface Ticket extends LockOwner {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: pids come round again, start times do not. */
  readonly processStart: string;
}

const pollMs = 100;

/**
 * Waits for the stack's lock; the result gives it back. `onWait` hears for whom it waits, each time that changes.
 * Rejects with the signal's reason, having left the queue; `failed` if the stacks root cannot hold the lock.
 */
export async function acquireStackLock(
  root: string,
  stack: string,
  owner: LockOwner,
  onWait: (ahead: LockOwner) => void,
  signal: AbortSignal,
): Promise<() => Promise<void>> {
  const folder = join(root, '.kompose', 'locks', stack);
  const number = await takeTicket(folder, owner);
  const release = (): Promise<void> => rm(join(folder, number), { force: true });
  try {
    let told: string | undefined;
    for (;;) {
      signal.throwIfAborted();
      const ahead = await nextAhead(folder, number);
      if (ahead === undefined) return release;
      // May throw: a wait that would never end is refused by the one who knows.
      if (ahead.task !== told) onWait(ahead);
      told = ahead.task;
      await delay(pollMs, undefined, { signal });
    }
  } catch (error) {
    await release();
    throw error;
  }
}

async function takeTicket(folder: string, owner: LockOwner): Promise<string> {
  const ticket: Ticket = { ...owner, pid: process.pid, processStart: processStart(process.pid) ?? '' };
  const draft = join(folder, `.${randomUUID()}`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o755 });
    await writeFile(draft, JSON.stringify(ticket), { mode: 0o644 });
    for (;;) {
      const number = String(Number((await tickets(folder)).at(-1) ?? 0) + 1).padStart(16, '0');
      if (await linked(draft, join(folder, number))) return number;
    }
  } catch (error) {
    const message = `cannot lock the stack: ${folder} cannot be written by this user`;
    throw new KomposeError('failed', message, { cause: error });
  } finally {
    await rm(draft, { force: true });
  }
}

async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Who has the lock, if that is somebody before us; undefined: it is ours. */
async function nextAhead(folder: string, number: string): Promise<LockOwner | undefined> {
  for (const other of (await tickets(folder)).filter((each) => each < number)) {
    const ticket = await readTicket(join(folder, other));
    if (ticket === undefined) continue;
    if (processStart(ticket.pid) === ticket.processStart) return ticket;
    await rm(join(folder, other), { force: true });
  }
  return undefined;
}

async function tickets(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^\d{16}$/.test(name)).toSorted();
}

async function readTicket(path: string): Promise<Ticket | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Ticket;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Undefined if there is no such process. */
function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
