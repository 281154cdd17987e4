import type { Call } from '../call.ts';
import type { Invocation } from '../order.ts';
import type { ScriptPlace } from '../script-call.ts';
import { list } from './list.ts';
import { runLocal, runThroughAgent } from './local.ts';

/**
 * `kompose.sh`: a command on this host's stacks (any name is a stack's here, there are no nouns), by the agent that keeps the script. In a hook of local mode, and where
 * local mode keeps it, this process runs it by itself.
 */
export async function script(
  call: Call,
  asked: Invocation & { kind: 'run' | 'list' },
  { root, agent }: ScriptPlace,
): Promise<number> {
  if (asked.kind === 'list') return list(call, asked.order);
  const isHere = agent === undefined || asked.isLocal || call.settings.isInLocalHook;
  if (isHere) return runLocal(call, asked.order, root, 'script');
  return runThroughAgent(call, asked.order, root, agent.socket);
}
