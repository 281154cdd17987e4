import type { TaskState } from '../../common/task-event.ts';
import {
  hostGroups,
  isOverFailureLimit,
  startable,
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
 * It keeps no task's state; `advance` looks at the tasks as they are and is safe to call at any time.
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
    const { rollout, isOnline } = this.#options;
    await this.#heedFailureLimit();
    // Without limits, what changed on a host concerns that host only.
    const isUnlimited = rollout.parallel === 0 && this.#groups.length <= 1;
    const hosts = isUnlimited ? changed : this.#groups.slice(0, this.#openGroup + 1).flat();
    // Hosts that are away are known to fail: they count before anything else starts.
    await Promise.all(hosts.filter((host) => !isOnline(host)).map((host) => this.#meetOffline(host)));
    await this.#heedFailureLimit();
    for (const host of hosts.filter(isOnline)) this.#startOn(host);
    await this.#openNextGroup();
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
    return parallel - this.#tasks.filter(({ phase }) => phase === 'sent' || phase === 'running').length;
  }

  async #meetOffline(host: string): Promise<void> {
    const { tasksByHost, offline, whyOffline, wait } = this.#options;
    const tasks = tasksByHost.get(host) ?? [];
    if (!tasks.some(({ phase }) => phase === 'queued')) return;
    if (offline.kind === 'skip') {
      await this.#endQueued([host], 'skipped', `host ${host} is offline (--offline skip)`);
    } else if (offline.kind === 'fail') {
      await this.#endQueued([host], 'unreachable', whyOffline(host));
    } else if (!this.#awaited.has(host)) {
      this.#awaited.set(
        host,
        setTimeout(() => this.#inBackground(() => this.#giveUp(host)), offline.waitMs),
      );
      for (const task of tasks) wait(task, `host ${host} to come online`);
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
    const { tasksByHost, rollout } = this.#options;
    const group = this.#groups[this.#openGroup] ?? [];
    const isOver = group.every((host) => tasksByHost.get(host)?.every(({ end }) => end !== undefined));
    if (!isOver || this.#openGroup >= this.#groups.length - 1 || this.#pause !== undefined) return;
    const isLeft = this.#tasks.some(({ phase }) => phase === 'queued');
    if (rollout.batchWaitMs === 0 || !isLeft) {
      await this.#open();
      return;
    }
    this.#pause = setTimeout(() => this.#inBackground(() => this.#open()), rollout.batchWaitMs);
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
