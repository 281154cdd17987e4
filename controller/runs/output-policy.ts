import { commandTraits } from '../../common/compose-command.ts';
import { isOutputKept } from '../../common/kept-output.ts';
import type { OutputPolicy } from '../fleet/host-session.ts';
import type { RunFacts } from './run-facts.ts';
import type { RunRequest } from './run-request.ts';

/**
 * How far a run may be ahead of its watcher, all its tasks together: what a reader of its log finds in memory. On a
 * terminal less, so that Ctrl-C is soon seen.
 */
const windowBytes = 4 * 1024 * 1024;
/** Of a task among many: two pieces of output. */
const leastWindowBytes = 128 * 1024;
const terminalWindowBytes = 256 * 1024;
/** All that is under way of what is in memory only has to fit there. */
const unkeptWindowBytes = 1024 * 1024;

/**
 * How the output of a run's tasks is bounded. A reading command, and `exec` and `run` on one target, go at the pace of
 * whoever watches; what changes something waits for nobody. Pure.
 */
export function outputPolicy(
  { command, args, raw }: Pick<RunFacts, 'command' | 'args' | 'raw'>,
  targetCount: number,
  request: Pick<RunRequest, 'detach' | 'terminal'> | undefined,
  keptBytes: number,
): OutputPolicy {
  const { reads, readsStdin } = commandTraits(command, args);
  const isPaced = (reads || (readsStdin && targetCount === 1)) && request?.detach !== true;
  const kept = isOutputKept(command, raw === true) ? keptBytes : 0;
  return { keptBytes: kept, windowBytes: isPaced ? windowFor(kept, targetCount, request) : 0 };
}

function windowFor(
  keptBytes: number,
  targetCount: number,
  request: Pick<RunRequest, 'terminal'> | undefined,
): number {
  if (keptBytes === 0) return unkeptWindowBytes;
  if (request?.terminal !== undefined) return bounded(terminalWindowBytes, keptBytes);
  return bounded(Math.max(leastWindowBytes, windowBytes / targetCount), keptBytes);
}

/** What is under way must fit into the ring that is kept. */
function bounded(bytes: number, keptBytes: number): number {
  return Math.floor(Math.max(1, Math.min(bytes, keptBytes / 8)));
}
