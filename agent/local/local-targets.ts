import { monotonicFactory } from 'ulid';
import { commandTraits } from '../../common/compose-command.ts';
import { checkRaw } from '../../common/raw-output.ts';
import { KomposeError } from '../../common/errors.ts';
import type { HostOrder } from '../../common/host-order.ts';
import { matchHere } from '../../common/match-here.ts';
import type { Target } from '../../common/task-event.ts';
import { discoverStacks } from '../stacks/discovery.ts';

const nextId = monotonicFactory();

/**
 * The targets of a command on this host's own stacks, in name order; `busy` are the stacks at work in the chain that it
 * belongs to. Throws `not-found`, naming the nearest; `usage` for an attached command on several; `failed` for a chain
 * that comes back.
 */
export async function findLocalTargets(
  order: HostOrder,
  { root, name }: { readonly root: string; readonly name: string },
  busy: readonly string[],
): Promise<Target[]> {
  const stacks = (await discoverStacks(root)).map((stack) => stack.name);
  const matched = matchHere(order.pattern, order.hosts, { host: name, root, stacks });
  const again = matched.find((stack) => busy.includes(stack));
  if (again !== undefined) {
    const way = [...busy, again].join(' -> ');
    throw new KomposeError('failed', `refused: ${again} is at work in this chain already (${way})`);
  }
  checkRaw(order, matched.length);
  if (matched.length > 1 && !order.dryRun) refuseAttached(order, matched.length);
  return matched.map((stack) => ({ task: nextId(), host: name, stack }));
}

function refuseAttached({ command, args }: HostOrder, count: number): void {
  if (!commandTraits(command, args).endsWithWatcher) return;
  const message = `${command} stays attached, so it takes one target, not ${count}`;
  throw new KomposeError('usage', command === 'up' ? `${message}; give it -d` : message);
}
