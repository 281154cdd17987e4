import { KomposeError } from '../../common/errors.ts';
import type { NumberedTaskEvent, RunEvent, TaskFinished, TaskState } from '../../common/task-event.ts';
import { decodeTaskEvent } from '../../proto/event-codec.ts';
import { briefEnd, briefStep, checkEvent } from './told-event.ts';
import type { RunLog } from './run-log.ts';
import type { RunFacts, RunRecords, TaskFacts } from './run-records.ts';
import { checkAmount, checkOrder, newTask, replay, type TaskProgress } from './task-progress.ts';

interface RunTasksDeps {
  readonly facts: RunFacts;
  readonly records: RunRecords;
  readonly log: RunLog;
  readonly clock: () => number;
  readonly agentVersion: (host: string) => string;
  readonly complain: (error: unknown) => void;
}

/*
 * The tasks of a run, and what their agents tell of them.
 *
 * INVARIANTS
 * - Every task ends in exactly one state: who sets its phase to `ended` writes its end.
 * - What the audit must hold is durable before the event log shows it. Only an end of the controller's own is shown where it
 *   cannot be recorded; the next process records it from the log.
 * - Each event of an agent enters the log once, in order: `lastSeq` decides.
 */
export class RunTasks {
  readonly all: readonly TaskProgress[];
  readonly byHost: ReadonlyMap<string, readonly TaskProgress[]>;
  readonly #byId: ReadonlyMap<string, TaskProgress>;
  readonly #deps: RunTasksDeps;
  #unended: number;

  constructor(tasks: readonly TaskFacts[], deps: RunTasksDeps) {
    this.all = tasks.map(newTask);
    this.byHost = Map.groupBy(this.all, ({ host }) => host);
    this.#byId = new Map(this.all.map((task) => [task.id, task]));
    this.#deps = deps;
    this.#unended = this.all.length;
  }

  /** Whether the log holds the last event of each. */
  get haveEnded(): boolean {
    return this.#unended === 0;
  }

  /** How those ended that have. */
  get ends(): TaskFinished[] {
    return this.all.map(({ end }) => end).filter((end) => end !== undefined);
  }

  /** Throws `not-found`. */
  get(taskId: string): TaskProgress {
    const task = this.#byId.get(taskId);
    if (task === undefined) throw new KomposeError('not-found', `there is no task ${taskId}`);
    return task;
  }

  /** An event of an earlier process of the controller. */
  replay(runEvent: RunEvent): void {
    if (!('taskSeq' in runEvent)) return;
    this.#deps.log.replay(runEvent);
    const task = this.all[runEvent.task - 1];
    if (task === undefined) return;
    replay(task, runEvent);
    if (task.phase === 'ended') this.#unended--;
  }

  /** Takes an agent's events in order; resolves when they are in the log. Throws `protocol` for a hole. */
  take(task: TaskProgress, events: readonly Uint8Array[], agentVersion: string): Promise<void> {
    // An agent that lost its link may report anew while its old stream still delivers: one batch at a time.
    const taken = task.taking.then(() => this.#takeAll(task, events, agentVersion));
    task.taking = taken.catch(() => undefined);
    return taken;
  }

  /** Ends a task of which the agent has not told the end. */
  end(task: TaskProgress, state: TaskState, reason: string): Promise<void> {
    const end = { type: 'task.finished', state, reason, durationMs: 0, actionDecided: false } as const;
    const record = (): Promise<void> => this.#record(task, end).catch(this.#deps.complain);
    return this.#end(task, end, record, () => this.#deps.log.own(task.place, end));
  }

  /** Records the end of a task that the log of an earlier process tells of; nothing happens if it is recorded. */
  async recordEnd(task: TaskProgress): Promise<void> {
    if (task.end !== undefined) await this.#record(task, task.end);
  }

  async #takeAll(task: TaskProgress, events: readonly Uint8Array[], agentVersion: string): Promise<void> {
    for (const bytes of events) {
      const numbered = checkEvent(decodeTaskEvent(bytes));
      if (numbered.seq <= task.lastSeq || task.phase === 'ended') continue;
      checkOrder(task, numbered);
      checkAmount(task, numbered.event, bytes.length);
      await this.#takeEvent(task, numbered, bytes, agentVersion);
    }
  }

  async #takeEvent(
    task: TaskProgress,
    numbered: NumberedTaskEvent,
    bytes: Uint8Array,
    agentVersion: string,
  ): Promise<void> {
    const { facts, records, log } = this.#deps;
    const { seq, event } = numbered;
    if (task.phase !== 'running') await this.#begin(task);
    if (event.type === 'step.finished')
      await records.stepFinished(facts, task, task.steps + 1, briefStep(event), agentVersion);
    const write = (): void => log.task(task.place, numbered, bytes);
    if (event.type === 'task.finished') {
      // What cannot be recorded is not taken: the agent tells it again.
      return this.#end(task, event, () => this.#record(task, event), write);
    }
    if (this.#byId.get(task.id)?.phase === 'ended') return undefined;
    write();
    if (event.type === 'step.finished') task.steps++;
    task.lastSeq = seq;
    return undefined;
  }

  async #begin(task: TaskProgress): Promise<void> {
    const { phase } = task;
    task.phase = 'running';
    try {
      await this.#deps.records.taskStarted(task);
    } catch (error) {
      if (this.#byId.get(task.id)?.phase === 'running') task.phase = phase;
      throw error;
    }
  }

  #record(task: TaskProgress, end: TaskFinished): Promise<void> {
    const { facts, records, agentVersion } = this.#deps;
    return records.taskFinished(facts, task, briefEnd(end), agentVersion(task.host));
  }

  /** The only way for a task to end; the second of two ends is dropped. Where it throws, the task has not ended. */
  async #end(
    task: TaskProgress,
    end: TaskFinished,
    record: () => Promise<void>,
    write: () => void,
  ): Promise<void> {
    if (task.phase === 'ended') return;
    const { phase } = task;
    const { log, clock } = this.#deps;
    task.phase = 'ended';
    try {
      await record();
      log.tellUnkept(task.place);
      write();
    } catch (error) {
      task.phase = phase;
      throw error;
    }
    task.end = end;
    task.endedMs = clock();
    this.#unended--;
  }
}
