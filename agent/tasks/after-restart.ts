import { handoverFormat, type HandedTask } from './task-handover.ts';
import type { Told } from './told-events.ts';

/** What becomes of a task that an earlier process of the agent left. */
export type AfterRestart =
  | { readonly kind: 'go-on' }
  /** Nothing of it has run, and it may be started when it is asked for again: it is as if it had not come. */
  | { readonly kind: 'forget' }
  | { readonly kind: 'end'; readonly state: 'cancelled' | 'lost'; readonly reason: string };

/** What tells how far a task came. */
export interface LeftTask extends Pick<Told, 'hasStarted'> {
  /** It was noted, for good, that it begins; of a task of this host's own it never is. */
  readonly wasBegun: boolean;
  readonly events: number;
}

/** `task` is undefined for one that does not outlive its agent, or that was being accepted. Pure. */
export function afterRestart(task: HandedTask | undefined, told: LeftTask, boot: string): AfterRestart {
  if (!told.wasBegun && told.events === 0 && task?.isLocal !== true) return { kind: 'forget' };
  if (task === undefined) {
    const reason =
      told.events === 0
        ? 'the agent was ended when it had just accepted the task; nothing tells that it began'
        : 'the agent was ended while the task ran; how far it came shows in its output';
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
