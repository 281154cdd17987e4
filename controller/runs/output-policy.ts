import { commandTraits } from '../../common/compose-command.ts';
import { isOutputKept } from '../../common/kept-output.ts';
import type { OutputPolicy } from '../fleet/host-session.ts';
import type { RunFacts } from './run-records.ts';
import type { RunRequest } from './run-request.ts';

/** How far a task may be ahead of its watcher; on a terminal less, so that Ctrl-C is soon seen. */
const windowBytes = 4 * 1024 * 1024;
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
  return { keptBytes: kept, windowBytes: isPaced ? windowFor(kept, request) : 0 };
}

function windowFor(keptBytes: number, request: Pick<RunRequest, 'terminal'> | undefined): number {
  if (keptBytes === 0) return unkeptWindowBytes;
  const most = request?.terminal === undefined ? windowBytes : terminalWindowBytes;
  return Math.max(1, Math.min(most, keptBytes / 8));
}
