import type { EventLog } from '../../common/event-log.ts';
import { whyNotKept } from '../../common/kept-output.ts';
import type {
  NumberedTaskEvent,
  OutputBytes,
  RunEvent,
  RunFinished,
  RunStarted,
  TaskEvent,
} from '../../common/task-event.ts';
import { encodeRunEvent, encodeTaskEvent, wrapTaskEvent } from '../../proto/event-codec.ts';

/** What of the tasks' output is kept, and what the run's command is. */
export interface RunOutput {
  /** Of each task; 0: nothing. */
  readonly keptBytes: number;
  readonly command: string;
  readonly isRaw: boolean;
}

/** What is known of a task's output. */
interface TaskOutput {
  readonly written: { stdout: number; stderr: number };
  /** The agent's number of the newest event. */
  taskSeq: number;
}

/*
 * The only way for a run's events into its log. A task is named by its place in the run's targets.
 *
 * INVARIANT: what the log holds of a task's output and of notices about it tells how much has been written so far, also
 * after a restart; so each marker says at which byte the output after it begins.
 */
export class RunLog {
  readonly events: EventLog;
  readonly #clock: () => number;
  readonly #output: RunOutput;
  readonly #tasks = new Map<number, TaskOutput>();

  constructor(events: EventLog, clock: () => number, output: RunOutput) {
    this.events = events;
    this.#clock = clock;
    this.#output = output;
  }

  /** An event of the run itself. */
  run(event: RunStarted | RunFinished): void {
    this.events.append(encodeRunEvent(this.events.count + 1, this.#clock(), event));
  }

  /** What the controller itself says of a task. */
  own(place: number, event: TaskEvent): void {
    const timeMs = this.#clock();
    this.#append(place, timeMs, encodeTaskEvent({ seq: 0, timeMs, event }));
  }

  /** An agent's event; `bytes` is how it encoded it. */
  task(place: number, numbered: NumberedTaskEvent, bytes: Uint8Array): void {
    const { timeMs, event } = numbered;
    if (event.type === 'output') this.#appendOutput(place, timeMs, bytes);
    else this.#append(place, timeMs, withoutScript(numbered) ?? bytes);
    this.#note(place, numbered);
  }

  /** The last of a task is to come: where its output is not kept, those who read it later are told. */
  tellUnkept(place: number): void {
    const { written } = this.#of(place);
    if (this.#output.keptBytes > 0 || written.stdout + written.stderr === 0) return;
    this.own(place, this.#missing(written));
  }

  /** An event of an earlier process of the controller. */
  replay(runEvent: RunEvent): void {
    if ('taskSeq' in runEvent) this.#note(runEvent.task, { ...runEvent, seq: runEvent.taskSeq });
  }

  #append(place: number, timeMs: number, bytes: Uint8Array): void {
    this.events.append(wrapTaskEvent(this.events.count + 1, place, timeMs, bytes));
  }

  #appendOutput(place: number, timeMs: number, bytes: Uint8Array): void {
    const { written, taskSeq } = this.#of(place);
    const marker = (seq: number): Uint8Array => {
      const notice = encodeTaskEvent({ seq: taskSeq, timeMs, event: this.#missing(written) });
      return wrapTaskEvent(seq, place, timeMs, notice);
    };
    const wrapped = wrapTaskEvent(this.events.count + 1, place, timeMs, bytes);
    this.events.appendOutput(place, wrapped, { keptBytes: this.#output.keptBytes, marker });
  }

  #missing(outputAt: OutputBytes): TaskEvent {
    const { command, isRaw } = this.#output;
    return { type: 'notice', text: whyNotKept(command, isRaw), outputAt: { ...outputAt } };
  }

  #note(place: number, { seq, event }: Pick<NumberedTaskEvent, 'seq' | 'event'>): void {
    const task = this.#of(place);
    task.taskSeq = Math.max(task.taskSeq, seq);
    if (event.type === 'output') task.written[event.stream] += event.data.length;
    else if (event.type === 'notice' && event.outputAt !== undefined)
      Object.assign(task.written, event.outputAt);
  }

  #of(place: number): TaskOutput {
    const known = this.#tasks.get(place) ?? { written: { stdout: 0, stderr: 0 }, taskSeq: 0 };
    this.#tasks.set(place, known);
    return known;
  }
}

/** The text of a hook script is the audit's alone; undefined for an event without one. */
function withoutScript({ event, ...place }: NumberedTaskEvent): Uint8Array | undefined {
  if (event.type !== 'step.finished' || event.script?.text === undefined) return undefined;
  const { textSha256 } = event.script;
  return encodeTaskEvent({ ...place, event: { ...event, script: { textSha256 } } });
}
