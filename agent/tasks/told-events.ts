import { createHash, type Hash } from 'node:crypto';
import type { EventLog } from '../../common/event-log.ts';
import type { StepFinished, StepKind, TaskEvent } from '../../common/task-event.ts';
import { decodeTaskEvent } from '../../proto/event-codec.ts';

/** What a task's log tells of one step. */
export interface ToldStep {
  readonly hasBegun: boolean;
  readonly finished: StepFinished | undefined;
  /** Of its output; undefined where some of that is no longer kept. */
  readonly digest: Hash | undefined;
  readonly hasStdout: boolean;
}

/** What an earlier process told of a task. */
export interface Told {
  readonly hasStarted: boolean;
  readonly hasFinished: boolean;
  /** Before the first step. */
  readonly notices: number;
  /** A task has each kind of step once at most. */
  readonly steps: ReadonlyMap<StepKind, ToldStep>;
  /** Bytes of output, in all. */
  readonly written: { readonly stdout: number; readonly stderr: number };
}

interface Step {
  hasBegun: boolean;
  finished: StepFinished | undefined;
  digest: Hash | undefined;
  hasStdout: boolean;
}

/** Reads what the log of a task says. */
export async function readTold(log: EventLog): Promise<Told> {
  const told = { hasStarted: false, hasFinished: false, notices: 0 };
  const written = { stdout: 0, stderr: 0 };
  const steps = new Map<StepKind, Step>();
  const stepOf = (kind: StepKind): Step => {
    const step = steps.get(kind) ?? {
      hasBegun: false,
      finished: undefined,
      digest: createHash('sha256'),
      hasStdout: false,
    };
    steps.set(kind, step);
    return step;
  };
  let current: Step | undefined;
  const take = (event: TaskEvent): void => {
    if (event.type === 'task.started') told.hasStarted = true;
    else if (event.type === 'task.finished') told.hasFinished = true;
    else if (event.type === 'step.started') (current = stepOf(event.step)).hasBegun = true;
    else if (event.type === 'step.finished') stepOf(event.step).finished = event;
    else if (event.type === 'output') {
      const step = stepOf(event.step);
      step.digest?.update(event.data);
      step.hasStdout ||= event.stream === 'stdout';
      written[event.stream] += event.data.length;
    } else if (event.type === 'notice' && event.outputAt !== undefined) {
      Object.assign(written, event.outputAt);
      if (current !== undefined) current.digest = undefined;
    } else if (event.type === 'notice' && steps.size === 0) told.notices++;
  };
  for await (const records of log.snapshot()) {
    for (const { bytes } of records) take(decodeTaskEvent(bytes).event);
  }
  return { ...told, steps, written };
}
