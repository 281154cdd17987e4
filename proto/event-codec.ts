import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import type {
  HookScript,
  NumberedTaskEvent,
  OutputStream,
  RunEvent,
  RunFinished,
  RunStarted,
  StepKind,
  StepOutcome,
  TaskCounts,
  TaskEvent,
  TaskState,
} from '../common/task-event.ts';
import { KomposeError } from '../common/errors.ts';
import * as wire from './gen/kompose/v1/event.ts';
import { LongBytesWriter } from './long-bytes-writer.ts';
import { ShortWriter } from './short-writer.ts';

/*
 * The only place that knows how events look on the wire. What this version does not know (a newer peer's enum
 * value or event) is refused by name: an event that is dropped in silence would be a hole in the report.
 */

const states = {
  succeeded: wire.TaskState.SUCCEEDED,
  failed: wire.TaskState.FAILED,
  skipped: wire.TaskState.SKIPPED,
  cancelled: wire.TaskState.CANCELLED,
  'timed-out': wire.TaskState.TIMED_OUT,
  unreachable: wire.TaskState.UNREACHABLE,
  lost: wire.TaskState.LOST,
  denied: wire.TaskState.DENIED,
} satisfies Record<TaskState, wire.TaskState>;

const steps = {
  pre: wire.StepKind.PRE,
  action: wire.StepKind.ACTION,
  post: wire.StepKind.POST,
  fail: wire.StepKind.FAIL,
} satisfies Record<StepKind, wire.StepKind>;

const outcomes = {
  succeeded: wire.StepOutcome.SUCCEEDED,
  failed: wire.StepOutcome.FAILED,
  cancelled: wire.StepOutcome.CANCELLED,
  'timed-out': wire.StepOutcome.TIMED_OUT,
} satisfies Record<StepOutcome, wire.StepOutcome>;

const streams = {
  stdout: wire.OutputStream.STDOUT,
  stderr: wire.OutputStream.STDERR,
} satisfies Record<OutputStream, wire.OutputStream>;

const stateOf = inverse<TaskState>(states, 'task state');
const stepOf = inverse<StepKind>(steps, 'step');
const outcomeOf = inverse<StepOutcome>(outcomes, 'step outcome');
const streamOf = inverse<OutputStream>(streams, 'output stream');

function inverse<Word extends string>(table: Record<Word, number>, what: string): (code: number) => Word {
  const words = new Map<number, Word>();
  for (const word in table) words.set(table[word], word);
  return (code) => {
    const word = words.get(code);
    if (word === undefined) throw new KomposeError('protocol', `the peer sent an unknown ${what} (${code})`);
    return word;
  };
}

/** To copy more than so many twice costs more than to write around them. */
const shortBytes = 1024;

/** The bytes of a task's event, as spooled, reported and logged. */
export function encodeTaskEvent({ seq, timeMs, event }: NumberedTaskEvent): Uint8Array {
  const message = { seq, timeUnixMs: timeMs, kind: toWireKind(event) };
  const writer = writerFor(event.type === 'output' ? event.data.length : 0);
  return wire.TaskEvent.encode(message, writer).finish();
}

/** For a message around so many bytes. */
function writerFor(length: number): BinaryWriter {
  return length < shortBytes ? new ShortWriter() : new LongBytesWriter();
}

function toWireKind(event: TaskEvent): NonNullable<wire.TaskEvent['kind']> {
  switch (event.type) {
    case 'task.queued':
      return { $case: 'queued', value: { waitingFor: event.waitingFor } };
    case 'task.started':
      return { $case: 'started', value: {} };
    case 'step.started':
      return {
        $case: 'stepStarted',
        value: { step: steps[event.step], name: event.name, argv: [...event.argv] },
      };
    case 'output':
      return {
        $case: 'output',
        value: { step: steps[event.step], stream: streams[event.stream], data: event.data },
      };
    case 'step.finished':
      return {
        $case: 'stepFinished',
        value: {
          ...event,
          step: steps[event.step],
          outcome: outcomes[event.outcome],
          script: event.script === undefined ? undefined : { text: undefined, ...event.script },
        },
      };
    case 'plan.step':
      return {
        $case: 'planStep',
        value: { ...event, step: steps[event.step], argv: [...event.argv], envNames: [...event.envNames] },
      };
    case 'notice':
      return { $case: 'notice', value: { text: event.text, outputAt: event.outputAt } };
    case 'task.finished':
      return {
        $case: 'finished',
        value: { ...event, state: states[event.state], exitCode: event.exitCode, dump: event.dump },
      };
  }
}

/** Throws `protocol` for what this version does not know. */
export function decodeTaskEvent(bytes: Uint8Array): NumberedTaskEvent {
  const { seq, timeUnixMs, kind } = read(() => wire.TaskEvent.decode(bytes));
  return { seq, timeMs: timeUnixMs, event: fromWireKind(kind) };
}

/** Bytes inside a message, of which gRPC has not seen whether they are one. Throws `protocol`. */
function read<Message>(decode: () => Message): Message {
  try {
    return decode();
  } catch (error) {
    throw new KomposeError('protocol', 'the peer sent an event that cannot be read', { cause: error });
  }
}

function fromWireKind(kind: wire.TaskEvent['kind']): TaskEvent {
  switch (kind?.$case) {
    case 'queued':
      return { type: 'task.queued', waitingFor: kind.value.waitingFor };
    case 'started':
      return { type: 'task.started' };
    case 'stepStarted':
      return {
        type: 'step.started',
        step: stepOf(kind.value.step),
        name: kind.value.name,
        argv: kind.value.argv,
      };
    case 'output':
      return {
        type: 'output',
        step: stepOf(kind.value.step),
        stream: streamOf(kind.value.stream),
        data: kind.value.data,
      };
    case 'stepFinished': {
      const { step, outcome, script, ...rest } = kind.value;
      return {
        type: 'step.finished',
        ...rest,
        step: stepOf(step),
        outcome: outcomeOf(outcome),
        ...(script === undefined ? {} : { script: fromWireScript(script) }),
      };
    }
    case 'planStep':
      return { type: 'plan.step', ...kind.value, step: stepOf(kind.value.step) };
    case 'notice':
      return {
        type: 'notice',
        text: kind.value.text,
        ...(kind.value.outputAt === undefined ? {} : { outputAt: kind.value.outputAt }),
      };
    case 'finished': {
      const { exitCode, state, reason, durationMs, actionDecided, dump } = kind.value;
      const end = { state: stateOf(state), reason, durationMs, actionDecided };
      const known = {
        ...(exitCode === undefined ? {} : { exitCode }),
        ...(dump === undefined ? {} : { dump }),
      };
      return { type: 'task.finished', ...end, ...known };
    }
    case undefined:
      throw new KomposeError('protocol', 'the peer sent an event of a kind that this version does not know');
  }
}

function fromWireScript({ textSha256, text }: wire.HookScript): HookScript {
  return text === undefined ? { textSha256 } : { textSha256, text };
}

/** In the log; a client gets the last event with a head, and small ones together. */
const unsigned = { auditHead: undefined, more: [] };

/** The events that a message of a run holds. Throws `protocol`. */
export function* eventsIn(message: wire.RunEvent): Generator<wire.RunEvent> {
  yield message;
  for (const bytes of message.more) yield read(() => wire.RunEvent.decode(bytes));
}

/** The bytes of one of the run's own events, as logged and as sent to clients. */
export function encodeRunEvent(seq: number, timeMs: number, event: RunStarted | RunFinished): Uint8Array {
  return wire.RunEvent.encode({
    ...unsigned,
    seq,
    task: 0,
    timeUnixMs: timeMs,
    kind: toWireRunKind(event),
  }).finish();
}

/** The bytes of a run's event that passes on a task's, `taskEvent` as the agent encoded it. */
export function wrapTaskEvent(seq: number, task: number, timeMs: number, taskEvent: Uint8Array): Uint8Array {
  const kind = { $case: 'taskEvent', value: taskEvent } as const;
  const message = { ...unsigned, seq, task, timeUnixMs: timeMs, kind };
  return wire.RunEvent.encode(message, writerFor(taskEvent.length)).finish();
}

function toWireRunKind(event: RunStarted | RunFinished): NonNullable<wire.RunEvent['kind']> {
  if (event.type === 'run.finished') {
    return { $case: 'finished', value: { ...event, counts: { ...event.counts } } };
  }
  const targets = event.targets.map(({ task, host, stack }) => ({ taskId: task, host, stack }));
  return { $case: 'started', value: { ...event, runId: event.run, targets, args: [...event.args] } };
}

/** Throws `protocol` for what this version does not know. */
export function decodeRunEvent(bytes: Uint8Array): RunEvent {
  return fromWireRunEvent(read(() => wire.RunEvent.decode(bytes)));
}

/** From the wire's form. Throws `protocol` for what this version does not know. */
export function fromWireRunEvent({ seq, task, timeUnixMs, kind }: wire.RunEvent): RunEvent {
  switch (kind?.$case) {
    case 'started': {
      const { runId, targets, pattern, command, args, user, dryRun } = kind.value;
      const named = targets.map(({ taskId, host, stack }) => ({ task: taskId, host, stack }));
      const event = { run: runId, targets: named, pattern, command, args, user, dryRun };
      return { seq, task: 0, timeMs: timeUnixMs, event: { type: 'run.started', ...event } };
    }
    case 'finished': {
      const { state, counts, exitCode, durationMs } = kind.value;
      const event = { state: checkedState(state), counts: checkedCounts(counts), exitCode, durationMs };
      return { seq, task: 0, timeMs: timeUnixMs, event: { type: 'run.finished', ...event } };
    }
    case 'taskEvent': {
      const { seq: taskSeq, timeMs, event } = decodeTaskEvent(kind.value);
      return { seq, task, taskSeq, timeMs, event };
    }
    case 'stdinProgress':
    case 'proposal':
      throw new KomposeError('protocol', `${kind.$case} is no event of a run`);
    case undefined:
      throw new KomposeError('protocol', 'the peer sent an event of a kind that this version does not know');
  }
}

function checkedState(word: string): TaskState {
  if (Object.hasOwn(states, word)) return word as TaskState;
  throw new KomposeError('protocol', `the peer sent an unknown state ${JSON.stringify(word)}`);
}

function checkedCounts(counts: Record<string, number>): TaskCounts {
  return Object.fromEntries(Object.entries(counts).map(([word, count]) => [checkedState(word), count]));
}
