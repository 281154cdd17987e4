import { KomposeError } from '../../common/errors.ts';
import type { Call } from '../call.ts';
import type { Invocation } from '../program.ts';
import type { ScriptPlace } from '../script-call.ts';
import { list } from './list.ts';
import { runLocal, runThroughAgent } from './local.ts';

/**
 * `kompose.sh`: a command on this host's stacks, by the agent that keeps the script. In a hook of local mode, and where
 * local mode keeps it, this process runs it by itself.
 */
export async function script(
  call: Call,
  asked: Exclude<Invocation, { kind: 'text' }>,
  { root, agent }: ScriptPlace,
): Promise<number> {
  if (asked.kind === 'list') return list(call, asked.order);
  if (asked.kind === 'noun') return listStacks(call, asked);
  const isHere = agent === undefined || asked.isLocal || call.settings.isInLocalHook;
  if (isHere) return runLocal(call, asked.order, root, 'script');
  return runThroughAgent(call, asked.order, root, agent.socket);
}

/** The one noun that this host can answer. */
async function listStacks(
  call: Call,
  { noun, args, hosts, labels }: Invocation & { kind: 'noun' },
): Promise<number> {
  const [pattern = '', ...more] = args;
  if (noun === 'stacks' && more.length === 0 && !pattern.startsWith('-'))
    return list(call, { pattern, hosts, labels });
  const message = `kompose.sh knows the stacks of this host only: kompose ${noun} asks the controller`;
  throw new KomposeError('usage', `${message}; a stack of that name is :${noun}`);
}
