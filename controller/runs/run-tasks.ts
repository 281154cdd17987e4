import { KomposeError } from '../../common/errors.ts';
import type {
  NumberedTaskEvent,
  RunEvent,
  StepFinished,
  TaskFinished,
  TaskState,
} from '../../common/task-event.ts';
import { decodeTaskEvent } from '../../proto/event-codec.ts';
import { briefEnd, briefStep, checkEvent } from './told-event.ts';
import type { RunLog } from './run-log.ts';
import type { RunFacts, TaskFacts, TaskNews } from './run-facts.ts';
import type { RunRecords } from './run-records.ts';
import { isOver, newTask, noteEvent, replay, type TaskProgress } from './task-progress.ts';

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
 * - Every task ends in exactly one state: who sets its phase to `ending` writes its end. It has ended once that is recorded
 *   and in the log: until then its agent keeps what it has.
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
  async end(task: TaskProgress, state: TaskState, reason: string): Promise<void> {
    if (isOver(task)) return;
    const end = { type: 'task.finished', state, reason, durationMs: 0, actionDecided: false } as const;
    await this.#end(task, end, async () => {
      await this.#record(task, { end: briefEnd(end) }).catch(this.#deps.complain);
      this.#deps.log.tellUnkept(task.place);
      this.#deps.log.own(task.place, end);
    });
  }

  /** Records the end of a task that the log of an earlier process tells of; nothing happens if it is recorded. */
  async recordEnd(task: TaskProgress): Promise<void> {
    if (task.end !== undefined) await this.#record(task, { end: briefEnd(task.end) });
  }

  async #takeAll(task: TaskProgress, events: readonly Uint8Array[], agentVersion: string): Promise<void> {
    // Whether what is being recorded is the task's end is known soon.
    while (task.phase === 'ending') await task.ending;
    if (task.phase === 'ended') return;
    const batch = readNew(task, events);
    const end = batch.at(-1)?.numbered.event;
    if (end?.type !== 'task.finished') {
      await this.#takeSome(task, batch, agentVersion);
      return;
    }
    const news = newsOf(task, batch, end);
    await this.#end(task, end, async () => {
      // What cannot be recorded is not taken: the agent tells it again.
      await this.#record(task, news, agentVersion);
      this.#write(task, batch.slice(0, -1));
      this.#deps.log.tellUnkept(task.place);
      this.#write(task, batch.slice(-1));
    });
  }

  /** Of a task that goes on. */
  async #takeSome(task: TaskProgress, batch: readonly ReadEvent[], agentVersion: string): Promise<void> {
    if (batch.length === 0) return;
    const { phase } = task;
    const news = newsOf(task, batch);
    task.phase = 'running';
    try {
      if (news.hasBegun || news.steps.length > 0) await this.#record(task, news, agentVersion);
    } catch (error) {
      if (this.get(task.id).phase === 'running') task.phase = phase;
      throw error;
    }
    if (!isOver(this.get(task.id))) this.#write(task, batch);
  }

  /** Notes each once it is in the log: where that has no room for the next, the agent goes on from there. */
  #write(task: TaskProgress, batch: readonly ReadEvent[]): void {
    for (const { numbered, bytes } of batch) {
      this.#deps.log.task(task.place, numbered, bytes);
      noteEvent(task, task.id, numbered, bytes.length);
    }
  }

  #record(
    task: TaskProgress,
    news: Partial<TaskNews>,
    agentVersion = this.#deps.agentVersion(task.host),
  ): Promise<void> {
    const { facts, records } = this.#deps;
    return records.told(facts, task, { hasBegun: false, steps: [], end: undefined, ...news }, agentVersion);
  }

  /** The only way for a task to end. Where `write` throws, it has not ended. */
  async #end(task: TaskProgress, end: TaskFinished, write: () => Promise<void>): Promise<void> {
    const { phase } = task;
    task.phase = 'ending';
    const written = write();
    task.ending = written.catch(() => undefined);
    try {
      await written;
    } catch (error) {
      task.phase = phase;
      throw error;
    }
    task.phase = 'ended';
    task.end = end;
    task.endedMs = this.#deps.clock();
    this.#unended--;
  }
}

interface ReadEvent {
  readonly numbered: NumberedTaskEvent;
  readonly bytes: Uint8Array;
}

/** Those that are new, up to the task's last. Throws `protocol`. */
function readNew(task: TaskProgress, events: readonly Uint8Array[]): ReadEvent[] {
  const { lastSeq, hasHole, steps, toldBytes } = task;
  const told = { lastSeq, hasHole, steps, toldBytes };
  const batch: ReadEvent[] = [];
  for (const bytes of events) {
    const numbered = checkEvent(decodeTaskEvent(bytes));
    if (numbered.seq <= told.lastSeq) continue;
    noteEvent(told, task.id, numbered, bytes.length);
    batch.push({ numbered, bytes });
    if (numbered.event.type === 'task.finished') break;
  }
  return batch;
}

/** What the records are to hold of it. */
function newsOf({ phase, steps }: TaskProgress, batch: readonly ReadEvent[], end?: TaskFinished): TaskNews {
  const finished = batch
    .map(({ numbered }) => numbered.event)
    .filter((event) => event.type === 'step.finished');
  return {
    hasBegun: phase !== 'running',
    steps: finished.map((step: StepFinished, at) => ({ place: steps + at + 1, step: briefStep(step) })),
    end: end === undefined ? undefined : briefEnd(end),
  };
}
