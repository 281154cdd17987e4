/*
 * The tables. Times are Unix milliseconds; lists and maps are JSON text; absent values are null. Of secrets only
 * hashes are here.
 */

export interface HostsTable {
  name: string;
  labels: string;
  /** SHA-256 of the host's certificate, lower-case hex. */
  certificate: string;
  certificate_not_after: number;
  /** SHA-256 of the one that `certificate` was renewed with: either is valid until the next renewal. */
  renewed_certificate: string | null;
  /** The ids of the CAs that it is known to trust, with blanks between. */
  trusts: string;
  joined_at: number;
  last_seen: number | null;
  agent_version: string;
  /** The stacks as last told; null if the host never told. */
  inventory: string | null;
  /** To which secrets are sealed that must wait for it, base64; null if its agent never told. */
  sealing_key: string | null;
}

export interface UsersTable {
  name: string;
  role: string;
  certificate: string;
  certificate_not_after: number;
  /** SHA-256 of the one that `certificate` was renewed with: either is valid until the next renewal. */
  renewed_certificate: string | null;
  /** The ids of the CAs that they are known to trust, with blanks between. */
  trusts: string;
  created_at: number;
}

export interface TokensTable {
  id: string;
  /** SHA-256 of the secret, lower-case hex. */
  secret_hash: string;
  role: string;
  /** Of the user to be; empty for agents. */
  name: string;
  /** The host that may join again with it; empty for none. */
  replaces: string;
  labels: string;
  /** Of a user's: its public key, which the roster invites; empty for one that the controller made itself. */
  key: string;
  uses_left: number;
  expires_at: number;
  created_by: string;
  created_at: number;
}

/** Entries of common/roster/entry.ts. */
export interface RosterTable {
  /** From 1 without gaps. */
  seq: number;
  body: string;
  signature: string;
}

export interface RolesTable {
  name: string;
  /** The text of a RuleSet. */
  rules: string;
  changed_at: number;
}

export interface RunsTable {
  id: string;
  pattern: string;
  command: string;
  args: string;
  user: string;
  state: string;
  started_at: number;
  finished_at: number | null;
  exit_code: number | null;
  targets: number;
  counts: string;
  dry_run: number;
  /** JSON of who began it, as far as its name does not tell; null in runs of older controllers. */
  caller: string | null;
  /** JSON of a Cancellation; null of a run that nobody has cancelled. */
  cancelled: string | null;
  /** Since then its output is kept no more. */
  output_removed_at: number | null;
}

/** What it takes to repeat a run; the run's own row has the rest. */
export interface RunRequestsTable {
  run_id: string;
  /** A KeptRequest: no value of a secret is in it. */
  request: string;
  /** Its client gave it a stdin that may hold something. */
  has_stdin: number;
  /** The run that this one repeats. */
  retry_of: string | null;
  /** A SignedOrder as it was signed, base64; null where it holds what may not be kept. */
  signed_order: string | null;
}

export interface TasksTable {
  id: string;
  run_id: string;
  /** From 1, in the order of the run's targets. */
  place: number;
  host: string;
  stack: string;
  state: string;
  reason: string;
  exit_code: number | null;
  started_at: number | null;
  finished_at: number | null;
  /** JSON of a Dump. */
  dump: string | null;
  /** Of the user, over the order and this task, base64; null of a task that nobody signed. */
  signature: string | null;
  /** A SealedTask, base64, while the host may lack what it is to do and there is a secret in it. */
  sealed: string | null;
}

export interface StepsTable {
  task_id: string;
  /** From 1, in order. */
  place: number;
  step: string;
  name: string;
  outcome: string;
  exit_code: number;
  duration_ms: number;
}

export interface AuditTable {
  /** From 1 without gaps; those that were pruned are missing at the beginning. */
  seq: number;
  /** The record's bytes, without its hash; see common/audit/chain.ts. */
  record: string;
  /** Lower-case hex. */
  hash: string;
}

export interface AuditMarksTable {
  /**
   * `head`: the newest signed one. `stub`: in place of the records that were pruned. `keys`: all changes of the key that
   * signs.
   */
  kind: 'head' | 'stub' | 'keys';
  /** A SignedMark; of `keys` a list of KeyChange. */
  mark: string;
}

export interface Schema {
  hosts: HostsTable;
  users: UsersTable;
  tokens: TokensTable;
  roster: RosterTable;
  roles: RolesTable;
  runs: RunsTable;
  run_requests: RunRequestsTable;
  tasks: TasksTable;
  steps: StepsTable;
  audit: AuditTable;
  audit_marks: AuditMarksTable;
}
