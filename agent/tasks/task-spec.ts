/** What one task is to do, as the controller asked for it. */
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
}
