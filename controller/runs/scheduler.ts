import type { TaskState } from '../../common/task-event.ts';
import {
  hostGroups,
  isOverFailureLimit,
  pauseLeftMs,
  startable,
  waitLeftMs,
  type OfflinePolicy,
  type RolloutOptions,
  type RolloutTask,
} from '../../common/rollout.ts';

/** What a scheduler decides on, and whom it tells. */
export interface SchedulerOptions<Task extends RolloutTask> {
  /** In the order of the targets. */
  readonly tasksByHost: ReadonlyMap<string, readonly Task[]>;
  readonly rollout: RolloutOptions;
  readonly offline: OfflinePolicy;
  /** All tasks of a host at once. */
  readonly reads: boolean;
  readonly isOnline: (host: string) => boolean;
  /** It may have tasks under way that an earlier process asked it for: it is known soon. */
  readonly isReturning: (host: string) => boolean;
  /** When an earlier process began to wait for it; undefined if it did not. */
  readonly awaitedSince: (host: string) => number | undefined;
  readonly endedMs: (task: Task) => number;
  readonly clock: () => number;
  readonly whyOffline: (host: string) => string;
  /** Asks a host for a task, or leaves it queued if that cannot be. */
  readonly start: (task: Task) => void;
  readonly end: (task: Task, state: TaskState, reason: string) => Promise<void>;
  readonly wait: (task: Task, waitingFor: string) => void;
  /** A timer of the scheduler's has moved the run on. */
  readonly changed: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Whose turn it is in a run: groups of hosts, tasks at a time, the end after too many failures, hosts that are away.
 * It keeps no task's state; `advance` looks at the tasks as they are and is safe to call at any time. So a run that an
 * earlier process of the controller began is gone on with by looking at its tasks.
 */
export class Scheduler<Task extends RolloutTask> {
  readonly #options: SchedulerOptions<Task>;
  readonly #tasks: readonly Task[];
  /** Gone through in order; all up to the open one may have tasks under way. */
  readonly #groups: readonly (readonly string[])[];
  #openGroup = 0;
  #pause: NodeJS.Timeout | undefined;
  /** Hosts that are waited for until their timer fires. */
  readonly #awaited = new Map<string, NodeJS.Timeout>();

  constructor(options: SchedulerOptions<Task>) {
    this.#options = options;
    this.#tasks = [...options.tasksByHost.values()].flat();
    this.#groups = hostGroups([...options.tasksByHost.keys()], options.rollout.batch);
  }

  /** Something changed on these hosts: starts, and ends, whatever is due. */
  async advance(changed: readonly string[]): Promise<void> {
    const { rollout, isOnline, isReturning } = this.#options;
    await this.#heedFailureLimit();
    // Without limits, what changed on a host concerns that host only.
    const isUnlimited = rollout.parallel === 0 && this.#groups.length <= 1;
    const hosts = isUnlimited ? changed : this.#openHosts;
    // Hosts that are away are known to fail: they count before anything else starts.
    const away = hosts.filter((host) => !isOnline(host) && !isReturning(host));
    await Promise.all(away.map((host) => this.#meetOffline(host)));
    await this.#heedFailureLimit();
    for (const host of hosts.filter(isOnline)) this.#startOn(host);
    await this.#openNextGroup();
  }

  /** Whether an earlier process may have had a task started whose host has not been heard of since. */
  mayBeUnderWay(task: Task): boolean {
    const { tasksByHost, isReturning, reads } = this.#options;
    if (!isReturning(task.host) || task.phase !== 'queued') return false;
    const tasks = tasksByHost.get(task.host) ?? [];
    const isFirst = tasks.find(({ phase }) => phase === 'queued') === task;
    return this.#openHosts.includes(task.host) && mayBeBusy(tasks) && (reads || isFirst);
  }

  /** Ends its timers. */
  close(): void {
    clearTimeout(this.#pause);
    for (const timer of this.#awaited.values()) clearTimeout(timer);
  }

  async #heedFailureLimit(): Promise<void> {
    const { rollout, tasksByHost } = this.#options;
    if (!isOverFailureLimit(this.#tasks, rollout.maxFailures)) return;
    const reason = 'not started: too many tasks failed (--max-failures)';
    await this.#endQueued([...tasksByHost.keys()], 'cancelled', reason);
  }

  #startOn(host: string): void {
    const { tasksByHost, reads, start } = this.#options;
    const tasks = tasksByHost.get(host) ?? [];
    if (!tasks.some(({ phase }) => phase === 'queued')) return;
    clearTimeout(this.#awaited.get(host));
    this.#awaited.delete(host);
    for (const task of startable(tasks, this.#room, reads)) start(task);
  }

  get #room(): number {
    const { parallel } = this.#options.rollout;
    if (parallel === 0) return Number.POSITIVE_INFINITY;
    const underWay = this.#tasks.filter(({ phase }) => phase === 'sent' || phase === 'running').length;
    return parallel - underWay - this.#returningBusy;
  }

  get #openHosts(): readonly string[] {
    return this.#groups.slice(0, this.#openGroup + 1).flat();
  }

  /** Hosts that may have a task under way which nobody has told of yet. */
  get #returningBusy(): number {
    const { tasksByHost, isReturning } = this.#options;
    return this.#openHosts.filter((host) => isReturning(host) && mayBeBusy(tasksByHost.get(host) ?? []))
      .length;
  }

  async #meetOffline(host: string): Promise<void> {
    const { tasksByHost, offline, whyOffline, wait, awaitedSince, clock } = this.#options;
    const tasks = tasksByHost.get(host) ?? [];
    if (!tasks.some(({ phase }) => phase === 'queued')) return;
    if (offline.kind === 'skip') {
      await this.#endQueued([host], 'skipped', `host ${host} is offline (--offline skip)`);
    } else if (offline.kind === 'fail') {
      await this.#endQueued([host], 'unreachable', whyOffline(host));
    } else if (!this.#awaited.has(host)) {
      const sinceMs = awaitedSince(host);
      const leftMs = waitLeftMs(offline.waitMs, sinceMs, clock());
      this.#awaited.set(
        host,
        setTimeout(() => this.#inBackground(() => this.#giveUp(host)), leftMs),
      );
      if (sinceMs !== undefined) return;
      for (const task of tasks) if (task.phase === 'queued') wait(task, `host ${host} to come online`);
    }
  }

  async #giveUp(host: string): Promise<void> {
    const { isOnline, whyOffline } = this.#options;
    if (isOnline(host)) return;
    await this.#endQueued([host], 'unreachable', whyOffline(host));
    await this.advance([host]);
  }

  async #endQueued(hosts: readonly string[], state: TaskState, reason: string): Promise<void> {
    const { tasksByHost, end } = this.#options;
    const queued = hosts
      .flatMap((host) => tasksByHost.get(host) ?? [])
      .filter(({ phase }) => phase === 'queued');
    await Promise.all(queued.map((task) => end(task, state, reason)));
  }

  /** The next group starts when the last has ended, after the pause that was asked for. */
  async #openNextGroup(): Promise<void> {
    const { tasksByHost, rollout, endedMs, clock } = this.#options;
    if (this.#openGroup >= this.#groups.length - 1 || this.#pause !== undefined) return;
    const group = this.#groups[this.#openGroup] ?? [];
    if (!group.every((host) => tasksByHost.get(host)?.every(({ end }) => end !== undefined))) return;
    const isLeft = this.#tasks.some(({ phase }) => phase === 'queued');
    const ends = group.flatMap((host) => tasksByHost.get(host) ?? []).map(endedMs);
    const leftMs = pauseLeftMs(rollout, Math.max(0, ...ends), clock());
    if (leftMs === 0 || !isLeft) {
      await this.#open();
      return;
    }
    this.#pause = setTimeout(() => this.#inBackground(() => this.#open()), leftMs);
  }

  async #open(): Promise<void> {
    this.#pause = undefined;
    this.#openGroup++;
    await this.advance([]);
  }

  #inBackground(act: () => Promise<void>): void {
    act().then(this.#options.changed, this.#options.failed);
  }
}

function mayBeBusy(tasks: readonly RolloutTask[]): boolean {
  const isKnown = tasks.some(({ phase }) => phase === 'sent' || phase === 'running');
  return !isKnown && tasks.some(({ phase }) => phase === 'queued');
}
