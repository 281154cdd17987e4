import { randomUUID } from 'node:crypto';
import { link, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { refuseCircle } from './lock-circle.ts';
import { processStart, type ProcessIdentity } from '../process/process-identity.ts';
import { liveTickets, ticketNumbers, ticketOf, type LockOwner, type Ticket } from './lock-tickets.ts';

/*
 * Commands that change a stack wait for one another, in order of arrival, across processes: the agent and local mode
 * on the same stacks root.
 *
 * A stack's lock is the folder `.kompose/locks/<stack>` in the stacks root. Who wants it leaves a numbered ticket
 * there, made whole by link(2); the lowest ticket whose owner lives has the lock.
 *
 * INVARIANTS
 * - A ticket's number is higher than those of all that were there when it was made.
 * - A ticket whose process is gone (told by pid and start time), and its watchdog too, counts for nothing and is
 *   removed by whoever sees it, unless a step of its task goes on without its agent.
 * - Only its owner, or somebody who knows the owner to be dead, removes a ticket.
 * - A task has one ticket; who goes on with the task makes it its own, in its old place.
 */

const pollMs = 100;

/**
 * Waits for the stack's lock; the result gives it back. `onWait` hears for whom it waits, each time that changes.
 * Rejects with the signal's reason, having left the queue; `failed` if the stacks root cannot hold the lock, or if the
 * wait would close a circle. Where this process is killed, `watchdog` has the lock until it ends.
 */
export async function acquireStackLock(
  root: string,
  stack: string,
  owner: LockOwner,
  onWait: (ahead: LockOwner) => void,
  signal: AbortSignal,
  watchdog?: ProcessIdentity,
): Promise<() => Promise<void>> {
  const locks = join(root, '.kompose', 'locks');
  const folder = join(locks, stack);
  const number = (await reclaimTicket(root, stack, owner)) ?? (await takeTicket(folder, owner, watchdog));
  const release = (): Promise<void> => rm(join(folder, number), { force: true });
  try {
    let told: string | undefined;
    for (;;) {
      signal.throwIfAborted();
      const ahead = await nextAhead(folder, number);
      if (ahead === undefined) return release;
      if (ahead.task !== told) {
        await refuseCircle(locks, stack, owner, ahead);
        onWait(ahead);
      }
      told = ahead.task;
      await delay(pollMs, undefined, { signal });
    }
  } catch (error) {
    await release();
    throw error;
  }
}

/** For the watchdog of a process that was killed: gives back the lock of one of its tasks, or its place in the queue. */
export async function dropTicket(root: string, stack: string, task: string): Promise<void> {
  const folder = join(root, '.kompose', 'locks', stack);
  const numbers = await ticketNumbers(folder).catch(() => []);
  if (numbers.length === 0) return;
  for await (const { number, ticket } of liveTickets(folder))
    if (ticket.task === task) await rm(join(folder, number), { force: true });
}

/** Makes the ticket of a task this process's, where an earlier one left one; undefined: there is none. */
export async function reclaimTicket(
  root: string,
  stack: string,
  owner: LockOwner,
): Promise<string | undefined> {
  const folder = join(root, '.kompose', 'locks', stack);
  const number = await ticketOf(folder, owner.task).catch(() => undefined);
  if (number === undefined) return undefined;
  const draft = await draftTicket(folder, owner, undefined);
  await rename(draft, join(folder, number));
  return number;
}

async function draftTicket(
  folder: string,
  owner: LockOwner,
  watchdog: ProcessIdentity | undefined,
): Promise<string> {
  const { pid } = process;
  const guarded = watchdog === undefined ? {} : { watchdog };
  const ticket: Ticket = { ...owner, pid, processStart: processStart(pid) ?? '', ...guarded };
  const draft = join(folder, `.${randomUUID()}`);
  await writeFile(draft, JSON.stringify(ticket), { mode: 0o644 });
  return draft;
}

async function takeTicket(
  folder: string,
  owner: LockOwner,
  watchdog: ProcessIdentity | undefined,
): Promise<string> {
  let draft = '';
  try {
    await mkdir(folder, { recursive: true, mode: 0o755 });
    draft = await draftTicket(folder, owner, watchdog);
    for (;;) {
      const number = String(Number((await ticketNumbers(folder)).at(-1) ?? 0) + 1).padStart(16, '0');
      if (await linked(draft, join(folder, number))) return number;
    }
  } catch (error) {
    const message = `cannot lock the stack: ${folder} cannot be written by this user`;
    throw new KomposeError('failed', message, { cause: error });
  } finally {
    if (draft !== '') await rm(draft, { force: true });
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
  for await (const first of liveTickets(folder)) return first.number < number ? first.ticket : undefined;
  return undefined;
}
