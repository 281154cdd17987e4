import { mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import { join } from 'node:path';
import { commandTraits } from '../../common/compose-command.ts';
import { isDatabaseCommand } from '../../common/database-command.ts';
import type { TaskHost } from './prepare-task.ts';
import { readUnfinished } from '../database/unfinished.ts';
import { Handovers } from './handovers.ts';
import { keptBytes } from './kept-bytes.ts';
import { machineMs } from './machine-clock.ts';
import { recoverTask, type RecoveredTask } from './recover-task.ts';
import { lockOwner } from './lock-tickets.ts';
import { runTask } from './run-task.ts';
import { reclaimTicket } from './stack-lock.ts';
import { guardStdin } from './stdin-guard.ts';
import { StopSignal } from './stop-signal.ts';
import type { TaskSpec } from './task-spec.ts';
import { TaskSpool } from './task-spool.ts';
import { tidyDatabase } from './tidy-database.ts';
import { TaskStdin } from './task-stdin.ts';
import type { TaskEvent, TaskFinished } from '../../common/task-event.ts';

/** What somebody on this host who runs a task has to do with it. */
export interface LocalShare {
  /** Hears of each event as it is kept. */
  readonly onEvent?: (event: TaskEvent) => void;
  /** Holds the task up in place of the controller's pace. */
  readonly pace?: (event: TaskEvent) => void | Promise<void>;
  /** Of the action, in place of the link's. */
  readonly stdin?: TaskStdin;
}

/** A task that has not ended. */
export interface RunningTask {
  readonly spec: TaskSpec;
  readonly startedMs: number;
  /** Somebody on this host runs it. */
  readonly isLocal: boolean;
  readonly ended: Promise<void>;
}

/*
 * INVARIANTS
 * - A task starts at most once: its folder is made, and then its beginning noted, before anything of it runs, and a second
 *   start with the same id is answered from the first. What a killed process has left of a task without that note has not
 *   run, and is forgotten.
 * - Every accepted task ends with `task.finished` in its spool, also after a bug and after a kill of the agent: the
 *   next process goes on with it, or writes `lost`.
 * - A task that outlives this process has a handover (`task-handover.ts`) from its acceptance to its end, and no other task has one.
 * - A spool is removed only when its last event is acknowledged, or the controller does not know the task and it has ended;
 *   and nobody on this host may ask for it.
 */
export class TaskRegistry {
  readonly #host: TaskHost;
  readonly #tasksFolder: string;
  readonly #log: Logger;
  readonly #spools = new Map<string, TaskSpool>();
  readonly #stops = new Map<string, StopSignal>();
  readonly #running = new Map<string, RunningTask>();
  readonly #handovers: Handovers;
  readonly #left = Promise.withResolvers<void>();
  /** Tasks that somebody on this host may ask for. */
  readonly #held = new Set<string>();
  /** Tasks that go on here, and the controller does not know any more. */
  readonly #disowned = new Set<string>();
  #listener: (spool: TaskSpool) => void = () => undefined;

  /**
   * Opens what an earlier process left; `tasksFolder` is private to this agent. `wasBegun`: whether a controller's task was
   * noted by its `start`; where nobody notes them, all were.
   */
  static async open(
    host: TaskHost,
    tasksFolder: string,
    log: Logger,
    wasBegun: (task: string) => boolean = () => true,
  ): Promise<TaskRegistry> {
    mkdirSync(tasksFolder, { recursive: true, mode: 0o700 });
    const registry = new TaskRegistry(host, tasksFolder, log);
    const recovered: RecoveredTask[] = [];
    for (const spool of TaskSpool.openAll(tasksFolder, Date.now)) {
      const known = await registry.#recover(spool, wasBegun(spool.task));
      if (known !== undefined) recovered.push(known);
    }
    // All have their old places in the queues before the first looks who is ahead of it.
    for (const { spec } of recovered)
      await reclaimTicket(host.root, spec.stack, lockOwner(spec, join(tasksFolder, spec.task)));
    for (const { spec, startedMs, stop, isLocal } of recovered) {
      registry.#begin(spec, { startedMs, isLocal });
      if (stop !== undefined) registry.#stops.get(spec.task)?.stop(stop);
    }
    return registry;
  }

  private constructor(host: TaskHost, tasksFolder: string, log: Logger) {
    this.#host = host;
    this.#tasksFolder = tasksFolder;
    this.#log = log;
    this.#handovers = new Handovers(host.agentEnv['PATH'], log);
  }

  /** Tasks with events that the controller may not have. */
  get open(): readonly TaskSpool[] {
    return [...this.#spools.values()];
  }

  /** Hears of each task that is accepted from now on. A later listener takes the earlier one's place. */
  listen(listener: (spool: TaskSpool) => void): void {
    this.#listener = listener;
  }

  /** Of a task that was accepted and is not forgotten. */
  spool(task: string): TaskSpool | undefined {
    return this.#spools.get(task);
  }

  /** Whether a task was accepted and is not forgotten. */
  has(task: string): boolean {
    return this.#spools.has(task);
  }

  /**
   * Accepts a task and runs it; a task that was started before is left as it is. `note` is to note for good that it begins.
   * Throws when it cannot be accepted, and what `note` throws; nothing of it is there then.
   */
  start(spec: TaskSpec, note: () => void = () => undefined): TaskSpool {
    const spool = this.#accept(spec, false, note);
    this.run(spec);
    return spool;
  }

  /** Accepts a task of somebody on this host, once: a second time does nothing. Throws when it cannot. */
  acceptLocal(spec: TaskSpec): TaskSpool {
    return this.#accept(spec, true, () => undefined);
  }

  #accept(spec: TaskSpec, isLocal: boolean, note: () => void): TaskSpool {
    const accepted = this.#spools.get(spec.task);
    if (accepted !== undefined) return accepted;
    const stdin = spec.hasStdin ? new TaskStdin(spec.terminal, guardStdin(spec)) : undefined;
    const spool = TaskSpool.create(this.#tasksFolder, spec.task, Date.now, keptBytes(spec));
    try {
      this.#handovers.create(spec, spool, isLocal);
      note();
    } catch (error) {
      this.#handovers.forget(spec.task);
      spool.remove();
      throw error;
    }
    spool.stdin = stdin;
    this.#spools.set(spec.task, spool);
    this.#listener(spool);
    return spool;
  }

  /** Runs an accepted task, once. */
  run(spec: TaskSpec, share: LocalShare = {}): void {
    const spool = this.#spools.get(spec.task);
    if (spool === undefined || spool.log.count > 0 || this.#running.has(spec.task)) return;
    if (share.stdin !== undefined) this.#handovers.forget(spec.task);
    this.#begin(spec, { startedMs: Date.now(), isLocal: share.onEvent !== undefined }, share);
  }

  #begin(spec: TaskSpec, facts: Pick<RunningTask, 'startedMs' | 'isLocal'>, share: LocalShare = {}): void {
    const spool = this.#spools.get(spec.task);
    if (spool === undefined) return;
    const ended = this.#run(spec, spool, share).finally(() => this.#running.delete(spec.task));
    this.#running.set(spec.task, { spec, ...facts, ended });
  }

  /** Ends an accepted task that was never run. */
  skip(task: string, reason: string): TaskFinished {
    const cancelled = { type: 'task.finished', state: 'cancelled', reason, durationMs: 0 } as const;
    const end: TaskFinished = { ...cancelled, actionDecided: false };
    const spool = this.#spools.get(task);
    if (spool?.log.count === 0 && !this.#running.has(task)) {
      spool.record(end);
      this.#handovers.forget(task);
    }
    return end;
  }

  /** Ends a task; unknown and ended ones are left alone. */
  cancel(task: string, reason: string): void {
    this.#stops.get(task)?.stop({ state: 'cancelled', reason });
  }

  /** Ends what cannot go on without somebody elsewhere who takes its output or gives it stdin. */
  cancelWatched(reason: string): void {
    for (const [task, { spec, isLocal }] of this.#running) {
      const { reads, endsWithWatcher } = commandTraits(spec.command, spec.args);
      if (!isLocal && (reads || endsWithWatcher || spec.hasStdin)) this.cancel(task, reason);
    }
  }

  /** For an agent that shuts down: ends what cannot go on without it, and leaves the rest to the next process. */
  leave(reason: string): void {
    for (const task of this.#stops.keys()) if (!this.#handovers.has(task)) this.cancel(task, reason);
    this.#left.resolve();
  }

  /** Ends all tasks. */
  cancelAll(reason: string): void {
    for (const task of this.#stops.keys()) this.cancel(task, reason);
  }

  /** A task that runs now. */
  running(task: string): RunningTask | undefined {
    return this.#running.get(task);
  }

  /** How many run now. */
  get runningCount(): number {
    return this.#running.size;
  }

  /** Resolves when no task runs. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Resolves when none runs that cannot go on without this process. */
  async left(): Promise<void> {
    const bound = [...this.#running.values()].filter(({ spec }) => !this.#handovers.has(spec.task));
    await Promise.all(bound.map(({ ended }) => ended));
  }

  /** Called when the controller has everything. */
  forget(spool: TaskSpool): void {
    if (this.#stops.has(spool.task) || this.#held.has(spool.task)) return;
    this.#disowned.delete(spool.task);
    if (this.#spools.delete(spool.task)) spool.remove();
  }

  /** Called when the controller does not know the task: nobody will acknowledge what it tells. */
  disown(spool: TaskSpool): void {
    this.#disowned.add(spool.task);
    this.forget(spool);
  }

  /** Keeps what a task tells, also once the controller has it, until it is released. */
  hold(task: string): void {
    this.#held.add(task);
  }

  release(task: string): void {
    this.#held.delete(task);
    this.#forgetIfDone(task);
  }

  /** What the controller has had all of, or wants nothing of, while it could not be forgotten. */
  #forgetIfDone(task: string): void {
    const spool = this.#spools.get(task);
    if (spool?.log.isEnded !== true) return;
    if (spool.isAcknowledged || this.#disowned.has(task)) this.forget(spool);
  }

  async #run(spec: TaskSpec, spool: TaskSpool, { onEvent, pace, stdin }: LocalShare): Promise<void> {
    const stop = new StopSignal();
    // Before anything is ended by it.
    stop.onStop((cause) => this.#handovers.noteStop(spec.task, cause));
    this.#stops.set(spec.task, stop);
    const { windowBytes } = spec.output ?? { windowBytes: 0 };
    let hasEnd = false;
    // What goes at its watcher's pace is held; one that changes something never waits for anybody.
    const sink = (event: TaskEvent): void | Promise<void> => {
      spool.record(event);
      hasEnd ||= event.type === 'task.finished';
      onEvent?.(event);
      if (pace !== undefined) return pace(event);
      if (windowBytes === 0 || event.type !== 'output') return undefined;
      return spool.waitForRoom(windowBytes, stop.signal);
    };
    const outliving = this.#handovers.get(spec.task);
    const now = outliving === undefined ? () => performance.now() : machineMs;
    try {
      const workFolder = spool.folder;
      await runTask({
        stdin: stdin ?? spool.stdin,
        spec,
        host: this.#host,
        workFolder,
        sink,
        stop,
        now,
        outliving,
      });
    } catch (error) {
      this.#log.error({ err: error, task: spec.task }, 'a task ended with a bug');
      if (!hasEnd) void sink(endedByBug);
    } finally {
      // Where the last event is not there, the next process finds the task as it is.
      if (await this.#isWritten(spool)) await this.#cleanUp(spec, spool);
      this.#stops.delete(spec.task);
      this.#forgetIfDone(spec.task);
    }
  }

  /** Waits until all events of a task are on the disk; false if this process leaves first. */
  async #isWritten({ flushed }: TaskSpool): Promise<boolean> {
    if (flushed === undefined) return true;
    return Promise.race([flushed.then(() => true), this.#left.promise.then(() => false)]);
  }

  /** Of a task that has ended. */
  async #cleanUp({ task, command }: TaskSpec, spool: TaskSpool): Promise<void> {
    try {
      await this.#handovers.discard(task);
      if (isDatabaseCommand(command)) await this.#tidyDatabase(spool);
    } catch (error) {
      this.#log.error({ err: error, task }, 'what a task left could not be removed');
    }
  }

  /** What a database command has left, if nobody knows how it ended, is undone beside the agent's work. */
  async #tidyDatabase({ folder, task }: TaskSpool): Promise<void> {
    const unfinished = await readUnfinished(folder);
    if (unfinished !== undefined) void tidyDatabase(unfinished, task, this.#host, this.#log);
  }

  /** What an earlier process left; undefined if it does not go on. */
  async #recover(spool: TaskSpool, wasBegun: boolean): Promise<RecoveredTask | undefined> {
    const recovery = await recoverTask(spool, wasBegun, this.#handovers.tools);
    if (recovery.kind === 'forgotten') return undefined;
    this.#spools.set(spool.task, spool);
    if (recovery.kind === 'ended') await this.#tidyDatabase(spool);
    if (recovery.kind !== 'goes-on') return undefined;
    this.#handovers.takeUp(spool.task, recovery.task.outliving);
    return recovery.task;
  }
}

/** Of a task that nothing else has ended. */
const endedByBug: TaskFinished = {
  type: 'task.finished',
  state: 'failed',
  reason: 'a bug in kompose: see the log of this host’s agent',
  durationMs: 0,
  actionDecided: false,
};
