import { KomposeError } from '../../common/errors.ts';
import type { NumberedTaskEvent, RunEvent, TaskEvent, TaskFinished } from '../../common/task-event.ts';
import type { TaskFacts } from './run-records.ts';

/** Where a task stands: not asked of its host yet, asked, known to have begun, or ended. */
type Phase = 'queued' | 'sent' | 'running' | 'ended';

/** What a run knows of one of its tasks. */
export interface TaskProgress extends TaskFacts {
  phase: Phase;
  /** The agent's number of the newest event in the log. */
  lastSeq: number;
  /** Numbers are missing, and no notice has told of it yet. */
  hasHole: boolean;
  steps: number;
  /** Bytes of its events that are no output, and so all kept. */
  toldBytes: number;
  /** Set once the log holds the task's last event. */
  end: TaskFinished | undefined;
  /** When that was, by the controller's clock. */
  endedMs: number;
  /** Settles when the batch of events that is being taken is in the log. */
  taking: Promise<void>;
}

export function newTask(facts: TaskFacts): TaskProgress {
  const none = { lastSeq: 0, hasHole: false, steps: 0, toldBytes: 0, end: undefined, endedMs: 0 };
  return { ...facts, ...none, phase: 'queued', taking: Promise.resolve() };
}

/** Notes that an event of the agent's comes next. Throws `protocol` for output that follows a hole nobody told of. */
export function checkOrder(task: TaskProgress, { seq, event }: NumberedTaskEvent): void {
  const hasHole = task.hasHole || seq !== task.lastSeq + 1;
  if (event.type === 'output' && hasHole)
    throw new KomposeError('protocol', `event ${seq} of task ${task.id} came after ${task.lastSeq}`);
  task.hasHole = hasHole && !(event.type === 'notice' && event.outputAt !== undefined);
}

/** Far more than any task has: each is a record of the audit. */
const mostSteps = 100;
const mostToldBytes = 16 * 1024 * 1024;

/** A host cannot fill the disk with what it tells of a task. Throws `protocol`. */
export function checkAmount(task: TaskProgress, { type }: TaskEvent, bytes: number): void {
  if (type === 'output') return;
  task.toldBytes += bytes;
  const isTooMuch = task.toldBytes > mostToldBytes || (type === 'step.finished' && task.steps >= mostSteps);
  if (isTooMuch && type !== 'task.finished')
    throw new KomposeError('protocol', `there is too much to tell of task ${task.id}`);
}

/** An event of a task in a run's log. */
export type LoggedTaskEvent = Extract<RunEvent, { readonly taskSeq: number }>;

/** Notes an event that an earlier process of the controller has logged: its own have no number of the agent's. */
export function replay(task: TaskProgress, { taskSeq, timeMs, event }: LoggedTaskEvent): void {
  if (event.type === 'task.finished') Object.assign(task, { phase: 'ended', end: event, endedMs: timeMs });
  else if (taskSeq > 0) task.phase = 'running';
  task.lastSeq = Math.max(task.lastSeq, taskSeq);
  if (event.type === 'step.finished') task.steps++;
}
