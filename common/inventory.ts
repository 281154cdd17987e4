/** What a host tells of a stack, without asking its engine. */
export interface StackSummary {
  readonly name: string;
  /** File name inside the stack's folder. */
  readonly composeFile: string;
  /** Functions `hook_*` that parsing hooks.sh finds. */
  readonly hooks: readonly string[];
  readonly hasEnvFile: boolean;
  /** Files that look like dumps of a database. */
  readonly dumps: number;
  /** Of the compose file, without what it includes. */
  readonly services: readonly string[];
}

/** What the engine tells of a stack. */
export interface StackStatus {
  readonly name: string;
  /** Services with a running container. */
  readonly servicesUp: readonly string[];
}
