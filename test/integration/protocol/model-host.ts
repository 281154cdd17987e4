import type { TaskEvent, TaskFinished, TaskState } from '../../../common/task-event.ts';
import { encodeTaskEvent } from '../../../proto/event-codec.ts';
import { ModelLink, ModelReport } from './network.ts';

/** A task that a host has accepted and not got rid of. */
export class ModelTask {
  readonly id: string;
  /** As they are reported; the first has the number 1. */
  readonly events: Uint8Array[] = [];
  end: TaskState | undefined;
  acknowledged = 0;
  cancel: string | undefined;

  constructor(id: string) {
    this.id = id;
  }

  tell(event: TaskEvent): void {
    this.events.push(encodeTaskEvent({ seq: this.events.length + 1, timeMs: 1, event }));
    if (event.type === 'task.finished') this.end = event.state;
  }
}

/** What is known of a task on its host for good. */
export interface Begun {
  /** Times that its first step began. */
  starts: number;
  /** All that it told. */
  readonly told: ModelTask;
}

/*
 * An agent as agent_link.proto says that it is, without anything that runs: it accepts a task once and journals that, goes
 * on whatever becomes of the link, and gets rid of a task that is acknowledged whole or that the controller does not know.
 */
export class ModelHost {
  readonly name: string;
  readonly begun = new Map<string, Begun>();
  /** Why the next task is refused. */
  refuses: 'denied' | 'full' | undefined;
  readonly refused = new Set<string>();
  /** The run is cancelled: whatever it is asked for from now on, it must not be. */
  isOver = false;
  readonly askedTooLate: string[] = [];
  link: ModelLink | undefined;
  readonly #open = new Map<string, ModelTask>();
  #instance = 0;
  /** Of the process. */
  #links = 0;

  constructor(name: string) {
    this.name = name;
  }

  get open(): ModelTask[] {
    return [...this.#open.values()];
  }

  get running(): ModelTask[] {
    return this.open.filter(({ end }) => end === undefined);
  }

  connect(): ModelLink {
    this.link?.leave();
    this.link = new ModelLink(this, this.#instance, ++this.#links);
    this.link.up.push({ kind: 'hello', openTasks: new Set(this.#open.keys()) });
    return this.link;
  }

  lose(): void {
    this.link?.leave();
    this.link = undefined;
  }

  /** Its process is killed; what ran goes on under the next, or is lost with it. */
  restart(losesTasks: boolean): void {
    this.lose();
    this.#instance++;
    this.#links = 0;
    if (losesTasks) for (const task of this.running) task.tell(finished('lost'));
  }

  startTask(link: ModelLink, id: string): void {
    if (this.#open.has(id)) return;
    const why = this.begun.has(id) ? 'denied' : this.refuses;
    this.refuses = undefined;
    if (why !== undefined) {
      if (!this.begun.has(id)) this.refused.add(id);
      link.up.push({ kind: 'refused', task: id, isDenied: why === 'denied' });
      return;
    }
    const task = new ModelTask(id);
    this.#open.set(id, task);
    this.begun.set(id, { starts: 0, told: task });
  }

  cancelTask(id: string, reason: string): void {
    const task = this.#open.get(id);
    if (task?.end === undefined && task !== undefined) task.cancel = reason;
  }

  /** A running task tells of the next that happens to it. */
  goOn(task: ModelTask, end: TaskState | undefined): void {
    if (task.end !== undefined) return;
    const count = task.events.length;
    if (task.cancel !== undefined) task.tell(finished('cancelled'));
    else if (count === 0) task.tell({ type: 'task.started' });
    else if (end !== undefined) task.tell(finished(end));
    else if (count === 1) {
      const begun = this.begun.get(task.id);
      if (begun !== undefined) begun.starts++;
      task.tell({ type: 'step.started', step: 'action', name: 'docker compose up', argv: [] });
    } else task.tell({ type: 'output', step: 'action', stream: 'stdout', data: Buffer.from(`${count}`) });
  }

  report(task: ModelTask): ModelReport | undefined {
    return this.link === undefined ? undefined : new ModelReport(this, this.link, task);
  }

  forget(task: ModelTask): void {
    if (task.end !== undefined) this.#open.delete(task.id);
  }
}

function finished(state: TaskState): TaskFinished {
  return { type: 'task.finished', state, reason: '', durationMs: 1, actionDecided: false };
}
