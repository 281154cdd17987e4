import { mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import { commandTraits } from '../../common/compose-command.ts';
import { defaultKeptBytes, isOutputKept } from '../../common/kept-output.ts';
import { stdinText } from '../../common/signing/signed-text.ts';
import { isSignatureOf } from '../../common/signing/signing-key.ts';
import type { TaskHost } from './prepare-task.ts';
import { readUnfinished } from '../database/unfinished.ts';
import { runTask } from './run-task.ts';
import { StopSignal } from './stop-signal.ts';
import { removeScratchFolders } from './scratch-folder.ts';
import type { TaskSpec } from './task-spec.ts';
import { TaskSpool } from './task-spool.ts';
import { tidyDatabase } from './tidy-database.ts';
import { TaskStdin, type IsTheirs } from './task-stdin.ts';
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
 * - A task starts at most once: its folder is made before anything of it runs, and a second start with the same
 *   id is answered from the first.
 * - Every accepted task ends with `task.finished` in its spool, also after a bug and after a kill of the agent
 *   (then as `lost`, written by the next process).
 * - A spool is removed only when its last event is acknowledged.
 */
export class TaskRegistry {
  readonly #host: TaskHost;
  readonly #tasksFolder: string;
  readonly #log: Logger;
  readonly #spools = new Map<string, TaskSpool>();
  readonly #stops = new Map<string, StopSignal>();
  readonly #running = new Map<string, RunningTask>();
  #listener: (spool: TaskSpool) => void = () => undefined;

  /** Opens what an earlier process left; `tasksFolder` is private to this agent. */
  static async open(host: TaskHost, tasksFolder: string, log: Logger): Promise<TaskRegistry> {
    mkdirSync(tasksFolder, { recursive: true, mode: 0o700 });
    const registry = new TaskRegistry(host, tasksFolder, log);
    for (const spool of TaskSpool.openAll(tasksFolder, Date.now)) await registry.#recover(spool);
    return registry;
  }

  private constructor(host: TaskHost, tasksFolder: string, log: Logger) {
    this.#host = host;
    this.#tasksFolder = tasksFolder;
    this.#log = log;
  }

  /** Tasks with events that the controller may not have. */
  get open(): readonly TaskSpool[] {
    return [...this.#spools.values()];
  }

  /** Hears of each task that is accepted from now on. A later listener takes the earlier one's place. */
  listen(listener: (spool: TaskSpool) => void): void {
    this.#listener = listener;
  }

  /** Whether a task was accepted and is not forgotten. */
  has(task: string): boolean {
    return this.#spools.has(task);
  }

  /** Accepts a task and runs it; a task that was started before is left as it is. Throws when it cannot journal. */
  start(spec: TaskSpec): TaskSpool {
    const spool = this.accept(spec);
    this.run(spec);
    return spool;
  }

  /** Accepts a task, once: a second time does nothing. Throws when it cannot journal. */
  accept(spec: TaskSpec): TaskSpool {
    const accepted = this.#spools.get(spec.task);
    if (accepted !== undefined) return accepted;
    const spool = TaskSpool.create(this.#tasksFolder, spec.task, Date.now, keptBytes(spec));
    if (spec.hasStdin) spool.stdin = new TaskStdin(spec.terminal, signedBy(spec));
    this.#spools.set(spec.task, spool);
    this.#listener(spool);
    return spool;
  }

  /** Runs an accepted task, once. */
  run(spec: TaskSpec, share: LocalShare = {}): void {
    const spool = this.#spools.get(spec.task);
    if (spool === undefined || spool.log.count > 0 || this.#running.has(spec.task)) return;
    const ended = this.#run(spec, spool, share).finally(() => this.#running.delete(spec.task));
    const isLocal = share.onEvent !== undefined;
    this.#running.set(spec.task, { spec, startedMs: Date.now(), isLocal, ended });
  }

  /** Ends an accepted task that was never run. */
  skip(task: string, reason: string): TaskFinished {
    const cancelled = { type: 'task.finished', state: 'cancelled', reason, durationMs: 0 } as const;
    const end: TaskFinished = { ...cancelled, actionDecided: false };
    const spool = this.#spools.get(task);
    if (spool?.log.count === 0 && !this.#running.has(task)) spool.record(end);
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

  /** Ends all tasks; for an agent that shuts down. */
  cancelAll(reason: string): void {
    for (const task of this.#stops.keys()) this.cancel(task, reason);
  }

  /** A task that runs now. */
  running(task: string): RunningTask | undefined {
    return this.#running.get(task);
  }

  /** Resolves when no task runs. */
  async settled(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Called when the controller has everything, or does not know the task. */
  forget(spool: TaskSpool): void {
    if (this.#stops.has(spool.task)) return;
    this.#spools.delete(spool.task);
    spool.remove();
  }

  async #run(spec: TaskSpec, spool: TaskSpool, { onEvent, pace, stdin }: LocalShare): Promise<void> {
    const stop = new StopSignal();
    this.#stops.set(spec.task, stop);
    const { windowBytes } = spec.output ?? { windowBytes: 0 };
    // What goes at its watcher's pace is held; one that changes something never waits for anybody.
    const sink = (event: TaskEvent): void | Promise<void> => {
      spool.record(event);
      onEvent?.(event);
      if (pace !== undefined) return pace(event);
      if (windowBytes === 0 || event.type !== 'output') return undefined;
      return spool.waitForRoom(windowBytes, stop.signal);
    };
    try {
      const now = (): number => performance.now();
      const workFolder = spool.folder;
      await runTask({ stdin: stdin ?? spool.stdin, spec, host: this.#host, workFolder, sink, stop, now });
    } catch (error) {
      this.#log.error({ err: error, task: spec.task }, 'a task ended with a bug');
    } finally {
      this.#stops.delete(spec.task);
    }
  }

  async #recover(spool: TaskSpool): Promise<void> {
    this.#spools.set(spool.task, spool);
    await removeScratchFolders(spool.task);
    if (await spool.hasFinished()) {
      spool.log.end();
      return;
    }
    const unfinished = await readUnfinished(spool.folder);
    if (unfinished !== undefined) void tidyDatabase(unfinished, spool.task, this.#host, this.#log);
    const reason = 'the agent was ended while the task ran; how far it came shows in its output';
    spool.record({ type: 'task.finished', state: 'lost', reason, durationMs: 0, actionDecided: false });
  }
}

/** What a piece of stdin must be: the user's own, who signed the task. */
function signedBy({ task, key }: TaskSpec): IsTheirs | undefined {
  if (key === undefined) return undefined;
  return ({ offset, isEnd, data, signature }) =>
    isSignatureOf(key, stdinText(task, offset, isEnd, data), signature ?? new Uint8Array());
}

function keptBytes({ command, raw, output }: TaskSpec): number {
  return isOutputKept(command, raw === true) ? (output?.keptBytes ?? defaultKeptBytes) : 0;
}
