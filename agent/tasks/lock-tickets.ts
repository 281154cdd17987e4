import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';
import { keeperOf } from '../process/keeper-folder.ts';
import { isRunning, type ProcessIdentity } from '../process/process-identity.ts';
import { stepFolderOf } from './task-handover.ts';
import type { TaskSpec } from './task-spec.ts';

/** Whom the others wait for. */
export interface LockOwner {
  readonly run: string;
  readonly task: string;
  readonly command: string;
  readonly user: string;
  /** The run that began the chain which the task belongs to: its own, for one that was not chained. */
  readonly chain: string;
  /** The task's, if its steps go on without their agent: while one does, it keeps the place. */
  readonly folder?: string;
}

/** `folder`: that of a task whose steps go on without this process. Pure. */
export function lockOwner({ run, task, command, user, chain }: TaskSpec, folder?: string): LockOwner {
  const owner = { run, task, command, user, chain: chain?.root ?? run };
  return folder === undefined ? owner : { ...owner, folder };
}

/** A place in the queue for a stack's lock. */
export interface Ticket extends LockOwner, ProcessIdentity {
  /** Who ends what the owner began, if that was killed: until then the ticket counts. */
  readonly watchdog?: ProcessIdentity;
}

/** The tickets of a queue whose owners live, in order of arrival; those of dead ones are removed on the way. */
export async function* liveTickets(folder: string): AsyncGenerator<{ number: string; ticket: Ticket }> {
  for (const number of await ticketNumbers(folder)) {
    const ticket = await readTicket(join(folder, number));
    if (ticket === undefined) continue;
    if (isHeld(ticket)) yield { number, ticket };
    else await rm(join(folder, number), { force: true });
  }
}

/** The ticket of a task, its process dead or alive. */
export async function ticketOf(folder: string, task: string): Promise<string | undefined> {
  for (const number of await ticketNumbers(folder)) {
    if ((await readTicket(join(folder, number)))?.task === task) return number;
  }
  return undefined;
}

function isHeld(ticket: Ticket): boolean {
  const { watchdog, folder } = ticket;
  if (isRunning(ticket) || (watchdog !== undefined && isRunning(watchdog))) return true;
  const stepFolder = folder === undefined ? undefined : stepFolderOf(folder);
  return stepFolder !== undefined && keeperOf(stepFolder) !== undefined;
}

/** In order of arrival, the dead ones' too. */
export async function ticketNumbers(folder: string): Promise<string[]> {
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
