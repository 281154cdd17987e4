import type { TerminalSize } from '../../common/client-terminal.ts';
import type { Gauges } from '../../common/gauges.ts';
import type { StackStatus, StackSummary } from '../../common/inventory.ts';
import type { RosterEntry } from '../../common/roster/entry.ts';
import type { OrderValues } from '../../common/signing/order.ts';

/** What a task's user has signed, or that sealed to the host. */
export type SignedPart =
  | {
      /** A SignedOrder, encoded. */
      readonly order: Uint8Array;
      readonly signature: Uint8Array;
      readonly values: OrderValues;
    }
  | { readonly sealed: Uint8Array };

/** A task as an agent is asked for it; what it is to do stands in what its user has signed. */
export interface TaskOrder {
  readonly task: string;
  readonly stack: string;
  readonly signed: SignedPart;
  /** Of the terminal that the action runs on. */
  readonly terminalSize: TerminalSize | undefined;
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
  /** Of the links of one process the later wins. */
  readonly linkNumber: number;
  readonly connectedMs: number;
  /** Opens to this agent alone; undefined of one that has none. */
  readonly sealingKey: Uint8Array | undefined;
  startTask(order: TaskOrder): void;
  /** The entries of the roster after its first `after`. */
  tellRoster(after: number, entries: readonly RosterEntry[]): void;
  cancelTask(task: string, reason: string): void;
  rescan(): Promise<readonly StackSummary[]>;
  askStatus(): Promise<readonly StackStatus[]>;
  /** Rejects with `unsupported` for an agent that cannot. */
  maskWords(question: MaskQuestion, timeoutMs: number): Promise<readonly string[]>;
  /** Rejects with `unsupported` for an agent that cannot. */
  askGauges(): Promise<Gauges>;
  /** Asks the agent to end its link, and to come back after a pause; resolves when the link has ended. */
  dismiss(returnAfterMs: number): Promise<void>;
  /** Ends the link and tells the agent why: `conflict` and `denied` make it stay away. */
  end(code: 'conflict' | 'denied' | 'unreachable', reason: string): void;
}
