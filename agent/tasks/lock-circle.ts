import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KomposeError } from '../../common/errors.ts';
import { liveTickets, type LockOwner } from './lock-tickets.ts';

/** Who waits for whom, because of one queue. */
interface Wait {
  readonly waiting: LockOwner;
  readonly stack: string;
  readonly ahead: LockOwner;
}

/**
 * Throws `failed`, naming both, if whom `owner` would wait for waits for the chain of `owner`, directly or through
 * others: in all queues of the stacks root, whichever process they belong to. A chain that waits for itself is no
 * circle: its hook began two at once.
 */
export async function refuseCircle(
  locksFolder: string,
  stack: string,
  owner: LockOwner,
  ahead: LockOwner,
): Promise<void> {
  const waits = await allWaits(locksFolder);
  const seen = new Set<string>([owner.chain]);
  const reached = [ahead.chain];
  for (let chain = reached.pop(); chain !== undefined; chain = reached.pop()) {
    if (seen.has(chain)) continue;
    seen.add(chain);
    const own = waits.filter(({ waiting }) => waiting.chain === chain);
    const closing = own.find((wait) => wait.ahead.chain === owner.chain);
    if (closing !== undefined) throw circle(stack, owner, ahead, closing);
    reached.push(...own.map((wait) => wait.ahead.chain));
  }
}

async function allWaits(locksFolder: string): Promise<Wait[]> {
  const waits: Wait[] = [];
  for (const stack of await readdir(locksFolder)) {
    const queue: LockOwner[] = [];
    for await (const { ticket: waiting } of liveTickets(join(locksFolder, stack))) {
      waits.push(...queue.map((ahead) => ({ waiting, stack, ahead })));
      queue.push(waiting);
    }
  }
  return waits;
}

function circle(stack: string, owner: LockOwner, ahead: LockOwner, closing: Wait): KomposeError {
  const here = `run ${owner.run} for ${stack} would wait for run ${ahead.run}`;
  const there = `run ${closing.waiting.run} for ${closing.stack} waits for run ${closing.ahead.run}`;
  return new KomposeError('failed', `refused, since both would wait for ever: ${here}, and ${there}`);
}
