import { isUtf8 } from 'node:buffer';
import type {
  Output,
  RunEvent,
  RunFinished,
  RunStarted,
  TaskEvent,
  TaskState,
} from '../../common/task-event.ts';
import { taskStates } from '../../common/task-event.ts';
import { jsonLine, printable } from '../../common/printable.ts';
import type { Renderer, Sink } from './sink.ts';
import { wholeCharacters } from './utf8.ts';

/** Section 10 of the command contract: one object a line on stdout. `say` is for people, on stderr. */
export function jsonRenderer(sink: Sink, isQuiet: boolean): Renderer {
  let lines: RunLines | undefined;
  return {
    say: (text) => {
      if (!isQuiet) sink.stderr(`${printable(text)}\n`);
    },
    render: (event) => {
      if (event.event.type === 'run.started') lines = new RunLines(event.event);
      for (const line of lines?.of(event) ?? []) sink.stdout(`${jsonLine(line)}\n`);
    },
    [Symbol.dispose]: () => undefined,
  };
}

/** Turns a run's events into the objects that `-o json` prints. */
class RunLines {
  readonly #started: RunStarted;
  /** Beginnings of characters whose rest is in the next chunk, by task and stream. */
  readonly #cut = new Map<string, { task: number; event: Output }>();

  constructor(started: RunStarted) {
    this.#started = started;
  }

  of({ task, timeMs, event }: RunEvent): object[] {
    const time = new Date(timeMs).toISOString();
    switch (event.type) {
      case 'run.started':
        return [{ type: event.type, time, run: event.run, targets: event.targets }];
      case 'run.finished':
        return [{ type: event.type, time, run: this.#started.run, ...runEnd(event) }];
      case 'output':
        return this.#output(task, event).map((fields) => this.#line(task, time, event.type, fields));
      case 'step.finished':
      case 'task.finished':
        return [
          ...this.#flush(task).map((fields) => this.#line(task, time, 'output', fields)),
          this.#line(task, time, event.type, fieldsOf(event)),
        ];
      default:
        return [this.#line(task, time, event.type, fieldsOf(event))];
    }
  }

  #line(task: number, time: string, type: string, fields: object): object {
    return { type, time, run: this.#started.run, ...this.#started.targets[task - 1], ...fields };
  }

  #output(task: number, event: Output): object[] {
    const key = `${task} ${event.stream}`;
    const held = this.#cut.get(key)?.event.data ?? new Uint8Array();
    const bytes = held.length === 0 ? event.data : Buffer.concat([held, event.data]);
    const end = wholeCharacters(bytes);
    if (end < bytes.length) this.#cut.set(key, { task, event: { ...event, data: bytes.slice(end) } });
    else this.#cut.delete(key);
    return end === 0 ? [] : [outputFields(event, bytes.subarray(0, end))];
  }

  /** The step has ended: what is still cut will not become whole. */
  #flush(task: number): object[] {
    const left = [...this.#cut].filter(([, cut]) => cut.task === task);
    for (const [key] of left) this.#cut.delete(key);
    return left.map(([, { event }]) => outputFields(event, event.data));
  }
}

function outputFields({ step, stream }: Output, bytes: Uint8Array): object {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) return { step, stream, data: buffer.toString('utf8') };
  return { step, stream, data: buffer.toString('base64'), encoding: 'base64' };
}

function fieldsOf(event: Exclude<TaskEvent, Output>): object {
  switch (event.type) {
    case 'task.queued':
      return { waitingFor: event.waitingFor };
    case 'task.started':
      return {};
    case 'step.started':
      return { step: event.step, name: event.name, argv: event.argv };
    case 'step.finished': {
      const { step, name, outcome, exitCode, durationMs } = event;
      return { step, name, outcome, exitCode, durationMs };
    }
    case 'plan.step': {
      const { step, name, argv, cwd, envNames, uncertain } = event;
      return { step, name, argv, cwd, envNames, ...(uncertain ? { uncertain } : {}) };
    }
    case 'notice':
      return { text: event.text, ...(event.missing === undefined ? {} : { missing: event.missing }) };
    case 'task.finished':
      return {
        state: event.state,
        exitCode: event.exitCode ?? null,
        reason: event.reason,
        durationMs: event.durationMs,
        ...(event.dump === undefined ? {} : { dump: event.dump }),
      };
  }
}

function runEnd({ state, counts, exitCode }: RunFinished): object {
  const sums = taskStates.map((word) => [camelCase(word), counts[word] ?? 0]);
  return { state, ...Object.fromEntries(sums), exitCode };
}

/** `timed-out` is `timedOut` where it names a field. */
function camelCase(state: TaskState): string {
  return state.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
