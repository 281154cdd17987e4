import type { HostFilter } from '../fleet/resolve-targets.ts';
import type { ClientTerminal } from '../../common/client-terminal.ts';
import type { OfflinePolicy, RolloutOptions } from '../../common/rollout.ts';

/** One thing that a user asked for, checked at the edge. */
export interface RunRequest {
  readonly pattern: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly filter: HostFilter;
  /** Variables of -e; in memory only. */
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
  readonly timeoutMs: number;
  readonly dryRun: boolean;
  /** Output is not masked, and not kept. */
  readonly raw: boolean;
  /** The run goes on without anybody watching, whatever the command. */
  readonly detach: boolean;
  /** The client has a stdin to give, if it is one target and the command reads it. */
  readonly hasStdin: boolean;
  /** Where that stdin is typed: the command of the one target gets a terminal too. */
  readonly terminal?: ClientTerminal | undefined;
  readonly rollout: RolloutOptions;
  readonly offline: OfflinePolicy;
}
