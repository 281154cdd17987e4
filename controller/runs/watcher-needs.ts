import { commandTraits } from '../../common/compose-command.ts';
import type { RunFacts } from './run-facts.ts';
import type { RunRequest } from './run-request.ts';

/** A run that began on a host: whoever watches it is there. Pure. */
export function isOfHost({ actor }: Pick<RunFacts, 'actor'>): boolean {
  return actor.role === 'local' || actor.role === 'hook';
}

/** Whether a run ends when nobody has watched it for a while. Pure. */
export function endsUnwatched(
  facts: Pick<RunFacts, 'command' | 'args' | 'actor'>,
  request: Pick<RunRequest, 'detach'> | undefined,
): boolean {
  const { reads, endsWithWatcher } = commandTraits(facts.command, facts.args);
  return (reads || endsWithWatcher) && request?.detach !== true && !isOfHost(facts);
}
