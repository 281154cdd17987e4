import { handoverFormat, type HandedTask } from './task-handover.ts';
import type { Told } from './told-events.ts';

/** What becomes of a task that an earlier process of the agent left. */
export type AfterRestart =
  | { readonly kind: 'go-on' }
  /** Nothing of it has run, and nobody was told that it would: it is as if it had not come. */
  | { readonly kind: 'forget' }
  | { readonly kind: 'end'; readonly state: 'cancelled' | 'lost'; readonly reason: string };

/** `task` is undefined for one that does not outlive its agent, or that was being accepted. Pure. */
export function afterRestart(
  task: HandedTask | undefined,
  told: Pick<Told, 'hasStarted'> & { readonly events: number },
  boot: string,
): AfterRestart {
  if (task === undefined) {
    if (told.events === 0) return { kind: 'forget' };
    const reason = 'the agent was ended while the task ran; how far it came shows in its output';
    return { kind: 'end', state: 'lost', reason };
  }
  if (task.format !== handoverFormat) {
    const reason = 'an agent of another version began it, and this one cannot go on with it';
    return { kind: 'end', state: 'lost', reason };
  }
  if (task.boot !== boot) {
    return told.hasStarted
      ? {
          kind: 'end',
          state: 'lost',
          reason: 'the host went down while the task ran; how far it came shows in its output',
        }
      : { kind: 'end', state: 'cancelled', reason: 'not started: the host went down first' };
  }
  // Its turn among the tasks of its run is for its caller to say, who is gone.
  if (task.isLocal && !told.hasStarted)
    return {
      kind: 'end',
      state: 'cancelled',
      reason: 'not started: the agent was ended, and its caller with it',
    };
  return { kind: 'go-on' };
}
