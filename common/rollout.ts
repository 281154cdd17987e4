import type { TaskState } from './task-event.ts';

/** N, or N percent. */
export interface Share {
  readonly count: number;
  readonly isPercent: boolean;
}

/** How a run goes through the fleet: `--parallel`, `--batch`, `--batch-wait`, `--max-failures`. */
export interface RolloutOptions {
  /** Tasks at a time; 0 means no limit. */
  readonly parallel: number;
  /** Hosts a group. */
  readonly batch: Share | undefined;
  readonly batchWaitMs: number;
  readonly maxFailures: Share | undefined;
}

/** What becomes of a host that is not connected. */
export type OfflinePolicy =
  | { readonly kind: 'fail' }
  | { readonly kind: 'skip' }
  | { readonly kind: 'wait'; readonly waitMs: number };

export const allAtOnce: RolloutOptions = {
  parallel: 0,
  batch: undefined,
  batchWaitMs: 0,
  maxFailures: undefined,
};

/** A task, as far as the rollout looks at it. */
export interface RolloutTask {
  readonly host: string;
  readonly phase: 'queued' | 'sent' | 'running' | 'ending' | 'ended';
  readonly end: { readonly state: TaskState } | undefined;
}

/** The hosts in groups that are gone through one after the other, in the order of the targets. Pure. */
export function hostGroups(hosts: readonly string[], batch: Share | undefined): string[][] {
  if (batch === undefined) return [[...hosts]];
  const size = Math.max(1, batch.isPercent ? Math.floor((hosts.length * batch.count) / 100) : batch.count);
  const groups: string[][] = [];
  for (let at = 0; at < hosts.length; at += size) groups.push(hosts.slice(at, at + size));
  return groups;
}

/** A timer of more than 2^31 - 1 ms (24.8 days) fires at once. */
const longestMs = 2 ** 31 - 1;

/** How long the pause before the next group still is, when the last task of the one before ended at `endedMs`. Pure. */
export function pauseLeftMs({ batchWaitMs }: RolloutOptions, endedMs: number, nowMs: number): number {
  return Math.min(batchWaitMs, longestMs, Math.max(0, endedMs + batchWaitMs - nowMs));
}

/** An agent that is there has time to come back to a controller that was away. */
const leastLeftMs = 20_000;

/**
 * How long a host is waited for still, if that began at `sinceMs` under an earlier process of the controller: for what is
 * left of `waitMs`, but long enough for an agent to come back. Pure.
 */
export function waitLeftMs(waitMs: number, sinceMs: number | undefined, nowMs: number): number {
  if (sinceMs === undefined) return Math.min(waitMs, longestMs);
  return Math.min(waitMs, longestMs, Math.max(leastLeftMs, sinceMs + waitMs - nowMs));
}

/** Whether more tasks have failed than the run may bear. Failed, timed-out, unreachable and lost ones count. Pure. */
export function isOverFailureLimit(tasks: readonly RolloutTask[], maxFailures: Share | undefined): boolean {
  if (maxFailures === undefined) return false;
  const { count, isPercent } = maxFailures;
  const limit = isPercent ? Math.floor((tasks.length * count) / 100) : count;
  return tasks.filter(({ end }) => end !== undefined && countsAsFailure[end.state]).length > limit;
}

const countsAsFailure: Record<TaskState, boolean> = {
  succeeded: false,
  skipped: false,
  cancelled: false,
  denied: false,
  failed: true,
  'timed-out': true,
  unreachable: true,
  lost: true,
};

/**
 * Which queued tasks of one host may start, leaving `room` tasks at a time to the whole fleet: the next one in order
 * if none of the host's is under way, or all of them where the command only reads. Pure.
 */
export function startable<Task extends RolloutTask>(
  tasks: readonly Task[],
  room: number,
  reads: boolean,
): Task[] {
  const queued = tasks.filter(({ phase }) => phase === 'queued');
  if (reads) return queued.slice(0, Math.max(0, room));
  const isBusy = tasks.some(({ phase }) => phase === 'sent' || phase === 'running');
  return isBusy || room < 1 ? [] : queued.slice(0, 1);
}
