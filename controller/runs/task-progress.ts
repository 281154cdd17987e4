import { KomposeError } from '../../common/errors.ts';
import type { NumberedTaskEvent, RunEvent, TaskEvent, TaskFinished } from '../../common/task-event.ts';
import type { TaskFacts } from './run-facts.ts';

/** Where a task stands: not asked of its host yet, asked, known to have begun, its end on its way to the disk, or ended. */
type Phase = 'queued' | 'sent' | 'running' | 'ending' | 'ended';

/** What a run knows of one of its tasks. */
export interface TaskProgress extends TaskFacts, ToldSoFar {
  phase: Phase;
  /** Set once the log holds the task's last event. */
  end: TaskFinished | undefined;
  /** When that was, by the controller's clock. */
  endedMs: number;
  /** Settles when the batch of events that is being taken is in the log. */
  taking: Promise<void>;
  /** Of a task that is ending: settles when it has ended, or has not after all. */
  ending: Promise<unknown>;
}

/** What the events in the log come to. */
interface ToldSoFar {
  /** The agent's number of the newest event in the log. */
  lastSeq: number;
  /** Numbers are missing, and no notice has told of it yet. */
  hasHole: boolean;
  steps: number;
  /** Bytes of its events that are no output, and so all kept. */
  toldBytes: number;
}

export function newTask(facts: TaskFacts): TaskProgress {
  const none = { lastSeq: 0, hasHole: false, steps: 0, toldBytes: 0, end: undefined, endedMs: 0 };
  return { ...facts, ...none, phase: 'queued', taking: Promise.resolve(), ending: Promise.resolve() };
}

/** Whether there is nothing more to come of a task, once what is on its way to the disk is there. */
export function isOver({ phase }: Pick<TaskProgress, 'phase'>): boolean {
  return phase === 'ending' || phase === 'ended';
}

/** Notes the agent's next event. Throws `protocol` for one that may not come now, having noted nothing. */
export function noteEvent(
  told: ToldSoFar,
  task: string,
  { seq, event }: NumberedTaskEvent,
  bytes: number,
): void {
  const { hasHole, toldBytes } = told;
  const isTorn = hasHole || seq !== told.lastSeq + 1;
  if (event.type === 'output' && isTorn)
    throw new KomposeError('protocol', `event ${seq} of task ${task} came after ${told.lastSeq}`);
  const allBytes = event.type === 'output' ? toldBytes : toldBytes + bytes;
  if (isTooMuch(event, allBytes, told.steps))
    throw new KomposeError('protocol', `there is too much to tell of task ${task}`);
  told.hasHole = isTorn && !(event.type === 'notice' && event.outputAt !== undefined);
  told.toldBytes = allBytes;
  told.lastSeq = seq;
  if (event.type === 'step.finished') told.steps++;
}

/** Far more than any task has: each is a record of the audit. */
const mostSteps = 100;
const mostToldBytes = 16 * 1024 * 1024;

/** A host cannot fill the disk with what it tells of a task. */
function isTooMuch({ type }: TaskEvent, toldBytes: number, steps: number): boolean {
  if (type === 'output' || type === 'task.finished') return false;
  return toldBytes > mostToldBytes || (type === 'step.finished' && steps >= mostSteps);
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
