import type { ClientTerminal } from '../../common/client-terminal.ts';
import type { StackStatus, StackSummary } from '../../common/inventory.ts';

/** A task as an agent is asked for it. */
export interface TaskOrder {
  readonly task: string;
  readonly run: string;
  readonly stack: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
  readonly timeoutMs: number;
  readonly dryRun: boolean;
  readonly user: string;
  readonly hasStdin: boolean;
  /** The action runs on one of this size. */
  readonly terminal: ClientTerminal | undefined;
  readonly raw: boolean;
  readonly output: OutputPolicy;
}

/** How an agent bounds a task's output; see agent_link.proto. */
export interface OutputPolicy {
  readonly keptBytes: number;
  readonly windowBytes: number;
}

/** Which of these words hold a secret of these stacks? */
export interface MaskQuestion {
  readonly words: readonly string[];
  readonly stacks: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
}

/**
 * One agent's live link, as the controller's logic sees it. Orders are sent and forgotten: what became of them
 * comes back as reports. The questions reject with `unreachable` when the link ends or the answer takes too long.
 */
export interface HostSession {
  readonly host: string;
  readonly instanceId: string;
  /** When the agent's process started: of two instances the later wins. */
  readonly instanceStartedMs: number;
  readonly connectedMs: number;
  startTask(order: TaskOrder): void;
  cancelTask(task: string, reason: string): void;
  rescan(): Promise<readonly StackSummary[]>;
  askStatus(): Promise<readonly StackStatus[]>;
  /** Rejects with `unsupported` for an agent that cannot. */
  maskWords(question: MaskQuestion, timeoutMs: number): Promise<readonly string[]>;
  /** Ends the link and tells the agent why: `conflict` and `denied` make it stay away. */
  end(code: 'conflict' | 'denied' | 'unreachable', reason: string): void;
}
