/**
 * What happens in a task and in a run, in the words of section 10 of the command contract. Agent, controller
 * and client all work on these; only `proto/event-codec.ts` knows how they look on the wire.
 */

/** The end of a task; each task reaches exactly one. */
export type TaskState =
  | 'succeeded'
  | 'failed'
  | 'skipped'
  | 'cancelled'
  | 'timed-out'
  | 'unreachable'
  | 'lost'
  | 'denied';

export const taskStates: readonly TaskState[] = [
  'succeeded',
  'failed',
  'skipped',
  'cancelled',
  'timed-out',
  'unreachable',
  'lost',
  'denied',
];

export type StepKind = 'pre' | 'action' | 'post' | 'fail';
export type StepOutcome = 'succeeded' | 'failed' | 'cancelled' | 'timed-out';
export type OutputStream = 'stdout' | 'stderr';

export interface TaskQueued {
  readonly type: 'task.queued';
  /** For whom it waits, for people; empty if for nobody in particular. */
  readonly waitingFor: string;
}

export interface TaskStarted {
  readonly type: 'task.started';
}

export interface StepStarted {
  readonly type: 'step.started';
  readonly step: StepKind;
  /** `hook_pre_up`, `docker compose up`, `pg_dump`. */
  readonly name: string;
  /** Masked. */
  readonly argv: readonly string[];
}

export interface Output {
  readonly type: 'output';
  readonly step: StepKind;
  readonly stream: OutputStream;
  /** Masked; at most 64 KiB; cut anywhere. */
  readonly data: Uint8Array;
}

export interface StepFinished {
  readonly type: 'step.finished';
  readonly step: StepKind;
  readonly name: string;
  readonly outcome: StepOutcome;
  /** 128 + n where signal n ended it. */
  readonly exitCode: number;
  readonly durationMs: number;
  /** Hooks: SHA-256 of hooks.sh as it ran, lower-case hex; else empty. */
  readonly hookSha256: string;
  /** SHA-256 of the step's output as sent, lower-case hex. */
  readonly outputSha256: string;
  /** Hooks: hooks.sh as it is kept. */
  readonly script?: HookScript;
}

/** The text of a hooks.sh, masked. */
export interface HookScript {
  /** Lower-case hex. */
  readonly textSha256: string;
  /** Absent where it was told before; not in a run's log. */
  readonly text?: string;
}

export interface PlanStep {
  readonly type: 'plan.step';
  readonly step: StepKind;
  readonly name: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly envNames: readonly string[];
  /** hooks.sh sources other files, so whether the function exists shows when it runs. */
  readonly uncertain: boolean;
}

/** Bytes. */
export interface OutputBytes {
  readonly stdout: number;
  readonly stderr: number;
}

export interface Notice {
  readonly type: 'notice';
  readonly text: string;
  /** Output may be missing before this: the task's next begins at this position of it. */
  readonly outputAt?: OutputBytes;
  /** So much is, to whoever is shown this. */
  readonly missing?: OutputBytes;
}

/** A dump of a database, as an export wrote it or an import read it. */
export interface Dump {
  /** Absolute, on the host. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

export interface TaskFinished {
  readonly type: 'task.finished';
  readonly state: TaskState;
  /** Of the step that decided; absent when none did. */
  readonly exitCode?: number;
  /** Why, in one line; empty if it succeeded. */
  readonly reason: string;
  readonly durationMs: number;
  /** `exitCode` is the action's own, not a hook's. */
  readonly actionDecided: boolean;
  /** Of a database command that wrote or read one. */
  readonly dump?: Dump;
}

export type TaskEvent =
  | TaskQueued
  | TaskStarted
  | StepStarted
  | Output
  | StepFinished
  | PlanStep
  | Notice
  | TaskFinished;

/** A task's event with its place: `seq` grows from 1 (a missing number is output that is gone), `timeMs` is the host's clock. */
export interface NumberedTaskEvent {
  readonly seq: number;
  readonly timeMs: number;
  readonly event: TaskEvent;
}

/** One stack on one host. */
export interface Target {
  readonly task: string;
  readonly host: string;
  readonly stack: string;
}

export interface RunStarted {
  readonly type: 'run.started';
  readonly run: string;
  readonly targets: readonly Target[];
  readonly pattern: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly user: string;
  readonly dryRun: boolean;
}

export type TaskCounts = Readonly<Partial<Record<TaskState, number>>>;

export interface RunFinished {
  readonly type: 'run.finished';
  readonly state: TaskState;
  readonly counts: TaskCounts;
  readonly exitCode: number;
  readonly durationMs: number;
}

/**
 * A run's event with its place: `seq` grows over the whole run (a missing number is output that is gone); `task` is the 1-based
 * place in the targets of `run.started`, 0 for the run's own events.
 */
export type RunEvent =
  | {
      readonly seq: number;
      readonly task: 0;
      readonly timeMs: number;
      readonly event: RunStarted | RunFinished;
    }
  | {
      readonly seq: number;
      readonly task: number;
      /** The agent's number of the event; 0 for what the controller says of the task itself. */
      readonly taskSeq: number;
      readonly timeMs: number;
      readonly event: TaskEvent;
    };
