import type { KeeperTools } from '../process/keeper.ts';
import { discardKept } from '../process/keeper-folder.ts';
import { bootId } from '../process/process-identity.ts';
import { endStepsOf } from './execute.ts';
import { afterRestart } from './after-restart.ts';
import { keptBytes } from './kept-bytes.ts';
import { machineMs } from './machine-clock.ts';
import type { Outliving } from './run-task.ts';
import { OutputPlaces } from './output-places.ts';
import { removeScratchFolders } from './scratch-folder.ts';
import type { StopCause } from './stop-signal.ts';
import { TaskHandover, type FoundHandover } from './task-handover.ts';
import type { TaskSpec } from './task-spec.ts';
import type { TaskSpool } from './task-spool.ts';

/** What became of a task that an earlier process of the agent left. */
export type Recovery =
  | { readonly kind: 'goes-on'; readonly task: RecoveredTask }
  /** It had ended, and only its events are left to be told. */
  | { readonly kind: 'had-ended' }
  /** It ends now: nobody goes on with it. What it left of a database is to be undone. */
  | { readonly kind: 'ended' }
  /** It is as if it had not come; its spool is gone. */
  | { readonly kind: 'forgotten' };

/** A task that goes on. */
export interface RecoveredTask {
  readonly spec: TaskSpec;
  readonly isLocal: boolean;
  /** Unix milliseconds. */
  readonly startedMs: number;
  readonly stop: StopCause | undefined;
  readonly outliving: Outliving;
}

const lostTools = {
  state: 'lost',
  reason: 'the agent was ended while the task ran, and the host lacks the programs to go on with it',
} as const;

/** Decides by what is in a task's folder, and leaves there what fits that. `wasBegun`: it was noted that it begins. */
export async function recoverTask(
  spool: TaskSpool,
  wasBegun: boolean,
  tools: KeeperTools | undefined,
): Promise<Recovery> {
  const found = TaskHandover.read(spool.folder);
  const { spec } = found ?? {};
  const told = await spool.recall(spec === undefined ? 0 : keptBytes(spec));
  if (told.hasFinished) {
    spool.log.end();
    await removeHandover(spool, found);
    return { kind: 'had-ended' };
  }
  const left = { wasBegun, hasStarted: told.hasStarted, events: spool.log.count };
  const after = afterRestart(found?.task, left, bootId());
  if (after.kind === 'forget') {
    await removeScratchFolders(spool.task, spool.folder);
    spool.remove();
    return { kind: 'forgotten' };
  }
  if (after.kind === 'go-on' && found !== undefined && spec !== undefined && tools !== undefined) {
    const { handover, task, stop } = found;
    const current = handover.progress?.folder;
    if (current !== undefined) OutputPlaces.settle(current, spool.log.count);
    await removeScratchFolders(spool.task, spool.folder, [
      handover.scratch,
      ...(current === undefined ? [] : [current]),
    ]);
    const outliving = { handover, tools, count: () => spool.log.count, told };
    const { startedMs } = handover.progress ?? {};
    const sinceMs = startedMs === undefined ? 0 : machineMs() - startedMs;
    return {
      kind: 'goes-on',
      task: { spec, isLocal: task.isLocal, stop, startedMs: Date.now() - sinceMs, outliving },
    };
  }
  const { state, reason } = after.kind === 'end' ? after : lostTools;
  // Before anybody else has its turn at the stack.
  if (told.hasStarted) await endStepsOf(spool.task);
  spool.record({ type: 'task.finished', state, reason, durationMs: 0, actionDecided: false });
  await removeHandover(spool, found);
  return { kind: 'ended' };
}

async function removeHandover(spool: TaskSpool, found: FoundHandover | undefined): Promise<void> {
  const folder = found?.handover.progress?.folder;
  if (folder !== undefined) await discardKept(folder);
  found?.handover.forget();
  await removeScratchFolders(spool.task, spool.folder);
}
