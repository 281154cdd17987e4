import type { Dump, OutputStream } from '../../common/task-event.ts';
import type { KeptStep } from '../tasks/kept-step.ts';
import type { StopSignal } from '../tasks/stop-signal.ts';
import type { Variables } from './find-database.ts';

/** What an action on a database has to work with. */
export interface ActionContext {
  /** Absolute path of the stack's folder. */
  readonly folder: string;
  /** Private (0700) and the task's own; what is in it survives this process. */
  readonly workFolder: string;
  /** That of the steps, as the pre hook left it. */
  readonly env: Variables;
  /** Its tools may outlive this process. */
  readonly keep: KeptStep | undefined;
  readonly stop: StopSignal;
  /** When the action began, by `now`. */
  readonly startedMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Output of a tool; it is masked on its way. */
  readonly write: (stream: OutputStream, chunk: Uint8Array) => void | Promise<void>;
  /** A line of the action's own on stdout, such as a dump's path; goes out as it is. */
  readonly print: (line: string) => void;
  /** A line for the user beside the output; goes out as it is. */
  readonly notice: (text: string) => void;
  readonly mask: (text: string) => string;
}

/** How an action on a database ended. */
export interface ActionEnd {
  readonly exitCode: number;
  /** Why it failed, in one line, masked. */
  readonly error?: string;
  /** What could not be ended when the task was stopped, in one line. */
  readonly left?: string;
  /** It took effect, even if the task was stopped meanwhile. */
  readonly stands?: true;
  /** The dump that was written or read. */
  readonly dump?: Dump;
  /** What the hooks after it get as arguments, where that differs from what was planned. */
  readonly paths?: readonly string[];
}
