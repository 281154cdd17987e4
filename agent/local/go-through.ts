import {
  isOverFailureLimit,
  startable,
  type RolloutOptions,
  type RolloutTask,
} from '../../common/rollout.ts';
import type { TaskFinished } from '../../common/task-event.ts';

/** One task of a run on this host; neither promise rejects but for a bug. */
export interface LocalTask {
  perform(): Promise<TaskFinished>;
  /** Ends it without having begun. */
  skip(reason: string): Promise<TaskFinished>;
}

interface Progress extends RolloutTask {
  readonly task: LocalTask;
  phase: RolloutTask['phase'];
  end: TaskFinished | undefined;
}

/**
 * Performs tasks one by one, or at once where the command only `reads`, as far as the rollout allows; what is not
 * started when it stops ends cancelled. Gives their ends in the order of the tasks. Hosts' groups mean nothing here:
 * there is one host.
 */
export async function goThrough(
  tasks: readonly LocalTask[],
  { rollout, reads, stop }: { rollout: RolloutOptions; reads: boolean; stop: AbortSignal },
): Promise<TaskFinished[]> {
  const all = tasks.map((task): Progress => ({ task, host: '', phase: 'queued', end: undefined }));
  const most = rollout.parallel === 0 ? Infinity : rollout.parallel;
  const running = new Map<Progress, Promise<void>>();
  for (;;) {
    const reason = whyStop(all, rollout, stop);
    if (reason !== undefined) await skipQueued(all, reason);
    for (const next of startable(all, most - running.size, reads)) {
      next.phase = 'running';
      running.set(
        next,
        perform(next).finally(() => running.delete(next)),
      );
    }
    if (running.size === 0) return all.flatMap(({ end }) => end ?? []);
    await Promise.race(running.values());
  }
}

function whyStop(all: readonly Progress[], { maxFailures }: RolloutOptions, stop: AbortSignal) {
  if (stop.aborted) return 'not started: the run was cancelled';
  const isOver = isOverFailureLimit(all, maxFailures);
  return isOver ? 'not started: too many tasks failed (--max-failures)' : undefined;
}

async function perform(progress: Progress): Promise<void> {
  progress.end = await progress.task.perform();
  progress.phase = 'ended';
}

async function skipQueued(all: readonly Progress[], reason: string): Promise<void> {
  for (const progress of all.filter(({ phase }) => phase === 'queued')) {
    progress.end = await progress.task.skip(reason);
    progress.phase = 'ended';
  }
}
