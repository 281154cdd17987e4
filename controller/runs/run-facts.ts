import type { StepFinished, TaskFinished } from '../../common/task-event.ts';
import type { Actor } from '../audit/audit.ts';
import type { HostFilter } from '../fleet/resolve-targets.ts';
import type { KeptRequest } from './kept-request.ts';
import type { SignedRun } from './signed-run.ts';

/** What all records of a run share. */
export interface RunFacts {
  readonly id: string;
  readonly pattern: string;
  readonly command: string;
  /** Masked. */
  readonly args: readonly string[];
  readonly dryRun: boolean;
  /** Of a run of an earlier process: the variables of -e. */
  readonly envNames?: readonly string[];
  /** Output is not masked, and not kept. */
  readonly raw?: boolean;
  /** --host and --label, as typed. */
  readonly filter?: HostFilter;
  readonly actor: Actor;
  /** The fingerprint of the key that signed it; of no run that began on a host. */
  readonly key?: string;
  readonly clientAddress: string;
  readonly startedMs: number;
  /** The run and task whose hook began this one. */
  readonly parent?: { readonly run: string; readonly task: string } | undefined;
}

export interface TaskFacts {
  readonly id: string;
  /** From 1, in the order of the run's targets. */
  readonly place: number;
  readonly host: string;
  readonly stack: string;
}

/** What is kept of a request, so that the run outlives the controller's process and `runs retry` can repeat it. */
export interface Repeatable {
  readonly request: KeptRequest;
  /** Its client may give it a stdin. */
  readonly hasStdin: boolean;
  /** The run that it repeats itself. */
  readonly retryOf: string | undefined;
  /** Absent where it holds what may not be kept. */
  readonly signed: Pick<SignedRun, 'order' | 'signatures'> | undefined;
  /** By task, what its host alone can open; empty where nothing of the request is secret. */
  readonly sealed: ReadonlyMap<string, Uint8Array>;
}

/** What is new of a task. */
export interface TaskNews {
  readonly hasBegun: boolean;
  /** Those that have ended, with their places in the task. */
  readonly steps: readonly { readonly place: number; readonly step: StepFinished }[];
  readonly end: TaskFinished | undefined;
}

/** Who has ended a run, and why. */
export interface Cancellation {
  readonly actor: Actor;
  readonly reason: string;
}

/** What the records of a run say of who began it, beside the name. */
export interface RunCaller {
  readonly role: string;
  readonly certificate: string;
  readonly clientAddress: string;
  /** They asked for output that is not masked. */
  readonly raw?: boolean;
}
