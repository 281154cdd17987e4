import { commandTraits } from '../../common/compose-command.ts';
import type { TaskSpec } from './task-spec.ts';

/** Whether a task goes on without its agent: it changes something, and nobody watches it or gives it stdin. Pure. */
export function outlivesAgent({ command, args, dryRun, hasStdin, raw }: TaskSpec): boolean {
  const { reads, endsWithWatcher } = commandTraits(command, args);
  return !reads && !endsWithWatcher && !hasStdin && !dryRun && raw !== true;
}
