import type { RolloutOptions } from './rollout.ts';

/** What one host is asked to do on its own stacks, in the words of section 2 of the command contract. */
export interface HostOrder {
  readonly pattern: string;
  /** --host, which may leave nothing of the one host there is. */
  readonly hosts: readonly string[];
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
  /** 0 means none. */
  readonly timeoutMs: number;
  readonly dryRun: boolean;
  /** Output is not masked, and not kept. */
  readonly raw: boolean;
  readonly rollout: RolloutOptions;
}
