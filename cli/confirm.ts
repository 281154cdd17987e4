import { commandTraits } from '../common/compose-command.ts';
import { KomposeError } from '../common/errors.ts';
import { printable } from '../common/printable.ts';
import type { Call } from './call.ts';
import { targetName } from './output/prefix.ts';
import { shellQuote } from './output/shell-quote.ts';
import type { RunOrder } from './order.ts';
import { interruptedExitCode } from './interrupts.ts';

/** More than this are counted instead of named. */
const mostShown = 20;

/**
 * Asks before a command that takes away does so on several targets. Gives the targets that were shown, by `targetName`;
 * undefined if nobody was to be asked. Throws `failed` if the answer is no.
 */
export async function confirm(call: Call, order: RunOrder): Promise<ReadonlySet<string> | undefined> {
  if (!mustAsk(call, order)) return undefined;
  const names = await matching(call, order);
  await confirmTargets(call, order, names);
  return names.length < 2 ? undefined : new Set(names);
}

type Words = Pick<RunOrder, 'command' | 'args' | 'isDryRun' | 'isConfirmed'>;

function mustAsk({ terminal }: Call, { command, args, isConfirmed, isDryRun }: Words): boolean {
  return commandTraits(command, args).confirms && !isConfirmed && !isDryRun && terminal.canAsk;
}

/** The same where the targets are known: `names`, as `host:stack`. */
export async function confirmTargets(call: Call, order: Words, names: readonly string[]): Promise<void> {
  if (!mustAsk(call, order) || names.length < 2) return;
  const shown = names.slice(0, mostShown).map((name) => `  ${printable(name)}\n`);
  const rest = names.length > mostShown ? `  and ${names.length - mostShown} more\n` : '';
  call.terminal.stderr(`${shown.join('')}${rest}`);
  const question = `${shellQuote([order.command, ...order.args])} on these ${names.length} targets? [y/N] `;
  const answer = await call.terminal.ask(question).catch(leave);
  if (!/^y(es)?$/i.test(answer.trim())) throw new KomposeError('failed', 'not confirmed: nothing was done');
}

async function matching(call: Call, { pattern, hosts, labels }: RunOrder): Promise<string[]> {
  using fleet = await call.connect();
  const filter = { hosts: [...hosts], labels: [...labels] };
  const names: string[] = [];
  for await (const target of fleet.read(fleet.client.listStacks({ pattern, filter, withServices: false }))) {
    names.push(targetName(target));
  }
  return names;
}

/** Ctrl-C at the question. */
function leave(): never {
  process.stderr.write('\n');
  process.exit(interruptedExitCode);
}
