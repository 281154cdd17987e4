import { runOutcome } from '../../common/run-outcome.ts';
import type { TaskFinished } from '../../common/task-event.ts';
import { KomposeError } from '../../common/errors.ts';
import { decodeTaskEvent, encodeRunEvent, encodeTaskEvent, wrapTaskEvent } from '../../proto/event-codec.ts';
import type { Resumption } from '../../proto/local-link.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { LocalRun } from './local-runs.ts';
import { Onlooker } from './onlooker.ts';
import { letGo, type LocalCaller, type LocalHost } from './run-locally.ts';

/**
 * Keeps what an earlier process of the agent began for hooks that go on, for their callers to come back to. Whose caller
 * has not come back by the end of its hook's task ends then, as one does whose caller goes away.
 */
export function awaitCallers({ tasks, localRuns }: LocalHost): void {
  for (const run of localRuns.left) {
    const parent = run.parent === undefined ? undefined : tasks.running(run.parent.task);
    if (parent === undefined) {
      localRuns.over(run.run);
      continue;
    }
    for (const { task } of run.targets) tasks.hold(task);
    void parent.ended.then(() => {
      if (localRuns.claim(run.run) === undefined) return;
      for (const { task } of run.targets) tasks.cancel(task, callerGone);
      letGo(run, tasks, localRuns);
    });
  }
}

const callerGone = 'its caller went away';

/**
 * Sends the caller of such a run what it has not seen, to the run's end; the run ends with its caller. What had not begun
 * when the agent ended has been cancelled. Resolves when the caller has all of it or is gone. Throws `not-found`.
 */
export async function resumeLocally(
  { run, seen }: Resumption,
  { tasks, localRuns }: LocalHost,
  caller: LocalCaller,
): Promise<void> {
  const record = localRuns.claim(run);
  if (record === undefined) throw new KomposeError('not-found', `no hook of this host waits for run ${run}`);
  const stop = (): void => {
    const reason = caller.cancelled.aborted ? 'cancelled by its caller' : callerGone;
    for (const { task } of record.targets) tasks.cancel(task, reason);
  };
  const signal = AbortSignal.any([caller.gone, caller.cancelled]);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await showRest(record, seen, tasks, caller);
  } finally {
    signal.removeEventListener('abort', stop);
    letGo(record, tasks, localRuns);
  }
}

/** The caller knows the events by their tasks' numbers: those of the run say no more than their order. */
async function showRest(
  { command, targets, startedMs }: LocalRun,
  seen: readonly number[],
  tasks: TaskRegistry,
  caller: LocalCaller,
): Promise<void> {
  let seq = 0;
  const ends = await Promise.all(
    targets.map(async ({ task }, at) => {
      const show = (timeMs: number, bytes: Uint8Array): Promise<void> =>
        caller.send(wrapTaskEvent(++seq, at + 1, timeMs, bytes));
      const spool = tasks.open.find((open) => open.task === task);
      if (spool === undefined) return showNeverBegun(show);
      await new Onlooker(spool, show, seen[at]).look(caller.gone);
      const last = await spool.log.newest();
      const event = last === undefined ? undefined : decodeTaskEvent(last.bytes).event;
      return event?.type === 'task.finished' ? event : undefined;
    }),
  );
  const all = ends.filter((end) => end !== undefined);
  if (caller.gone.aborted || all.length < targets.length) return;
  const outcome = runOutcome(all, command, caller.cancelled.aborted);
  const durationMs = Date.now() - startedMs;
  await caller.send(encodeRunEvent(++seq, Date.now(), { type: 'run.finished', ...outcome, durationMs }));
}

async function showNeverBegun(
  show: (timeMs: number, bytes: Uint8Array) => Promise<void>,
): Promise<TaskFinished> {
  const reason = 'not started: the agent was ended first';
  const end = { type: 'task.finished', state: 'cancelled', reason, durationMs: 0 } as const;
  const event: TaskFinished = { ...end, actionDecided: false };
  const timeMs = Date.now();
  await show(timeMs, encodeTaskEvent({ seq: 1, timeMs, event }));
  return event;
}
