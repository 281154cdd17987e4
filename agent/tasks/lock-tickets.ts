import { readFileSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';

/** Whom the others wait for. */
export interface LockOwner {
  readonly run: string;
  readonly task: string;
  readonly command: string;
  readonly user: string;
  /** The run that began the chain which the task belongs to: its own, for one that was not chained. */
  readonly chain: string;
}

/** A place in the queue for a stack's lock. */
export interface Ticket extends LockOwner {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: pids come round again, start times do not. */
  readonly processStart: string;
}

/** The tickets of a queue whose processes live, in order of arrival; those of dead ones are removed on the way. */
export async function* liveTickets(folder: string): AsyncGenerator<{ number: string; ticket: Ticket }> {
  for (const number of await ticketNumbers(folder)) {
    const ticket = await readTicket(join(folder, number));
    if (ticket === undefined) continue;
    if (processStart(ticket.pid) === ticket.processStart) yield { number, ticket };
    else await rm(join(folder, number), { force: true });
  }
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

/** Undefined if there is no such process. */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
