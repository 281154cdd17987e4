import type { ClientTerminal } from '../../common/client-terminal.ts';

/** What one task is to do, as its user asked for it. */
export interface TaskSpec {
  readonly task: string;
  readonly run: string;
  readonly stack: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Variables of -e. */
  readonly env: Readonly<Record<string, string>>;
  readonly network?: string;
  /** From the task's start; 0 means none. */
  readonly timeoutMs: number;
  readonly dryRun: boolean;
  readonly user: string;
  /** The client's stdin comes to the action. */
  readonly hasStdin: boolean;
  /** The client's half of the key that each piece of it is marked by; absent: it comes from this host. */
  readonly stdinKey?: Uint8Array;
  /** The action runs on a terminal, into which that stdin is typed. */
  readonly terminal?: ClientTerminal | undefined;
  /** The action's output is not masked. */
  readonly raw?: boolean;
  /** Absent: what is kept by default, at full speed. */
  readonly output?: OutputPolicy | undefined;
  /** Of a task that a hook of another one began. */
  readonly chain?: Chain;
  /** Values to hide beside those that its own environment tells: the secrets of the hook that began it. */
  readonly secrets?: readonly string[];
}

/** How a task's output is bounded. */
export interface OutputPolicy {
  /** 0: none of it may be on disk. */
  readonly keptBytes: number;
  /** The task is held while more than this is not acknowledged; 0: never. */
  readonly windowBytes: number;
}

/** Where a chained task stands. */
export interface Chain {
  /** The run that began it all. */
  readonly root: string;
  /** The stacks whose tasks wait for this one, outermost first. */
  readonly stacks: readonly string[];
}
