import type { Transaction } from 'kysely';
import type { Dump } from '../../common/task-event.ts';
import { chainedText, hashRecord, type ChainEnd } from '../../common/audit/chain.ts';
import type { KeyChange } from '../../common/audit/key-change.ts';
import type { SignedMark } from '../../common/audit/signed-head.ts';
import { version } from '../../common/version.ts';
import { insertLater, readHot } from '../store/hot-statement.ts';
import type { Schema } from '../store/schema.ts';
import { chainEnd } from './chain-rows.ts';
import type { KeptScript } from './kept-scripts.ts';

/** Who did it: a user or host by certificate, or the controller itself. */
export interface Actor {
  readonly name: string;
  /** A user's role, `agent`, `controller`, or empty for somebody unknown. */
  readonly role: string;
  /** SHA-256 of the certificate, lower-case hex; empty if none. */
  readonly certificate: string;
}

/** The hook of a record of type `hook.finished`. */
export interface HookRecord {
  readonly name: string;
  readonly sha256: string;
  readonly exitCode: number;
  readonly durationMs: number;
  readonly outputSha256: string;
  /** Of the script's text, which a record `hook.kept` holds. */
  readonly textSha256?: string;
}

/** The command itself, of a record of type `action.finished`. */
export interface ActionRecord {
  readonly name: string;
  readonly exitCode: number;
  readonly durationMs: number;
  readonly outputSha256: string;
}

export type AuditType =
  | 'run.started'
  | 'run.finished'
  | 'run.cancelled'
  | 'runs.pruned'
  | 'hook.finished'
  | 'hook.kept'
  | 'action.finished'
  | 'task.finished'
  | 'host.joined'
  | 'host.labelled'
  | 'host.removed'
  | 'host.refused'
  | 'user.login'
  | 'user.changed'
  | 'user.removed'
  | 'role.changed'
  | 'roster.changed'
  | 'role.removed'
  | 'login.failed'
  | 'certificate.renewed'
  | 'controller.recovered'
  | 'controller.address-added'
  | 'controller.ca-rotated'
  | 'controller.ca-dropped'
  | 'token.created'
  | 'token.revoked'
  | 'request.denied'
  | 'connection.refused'
  | 'controller.started'
  | 'controller.stopped'
  | 'controller.backed-up'
  | 'controller.restored'
  | 'audit.contradicted'
  | 'audit.key-changed'
  | 'audit.pruned';

/** What is recorded; fields that do not apply are left out. */
export interface AuditEntry {
  readonly type: AuditType;
  readonly actor: Actor;
  readonly clientAddress?: string;
  readonly run?: string;
  /** The run that this one repeats. */
  readonly retryOf?: string;
  readonly task?: string;
  readonly host?: string;
  readonly stack?: string;
  readonly pattern?: string;
  /** --host, as typed. */
  readonly hosts?: readonly string[];
  /** --label, as typed. */
  readonly labels?: readonly string[];
  readonly command?: string;
  readonly args?: readonly string[];
  readonly envNames?: readonly string[];
  readonly targets?: readonly string[];
  readonly dryRun?: boolean;
  /** Of a run whose output was not masked. */
  readonly raw?: boolean;
  /** The fingerprint of the key that signed the run. */
  readonly key?: string;
  /** The run and task whose hook began this run. */
  readonly parent?: { readonly run: string; readonly task: string };
  readonly hook?: HookRecord;
  readonly script?: KeptScript;
  readonly action?: ActionRecord;
  readonly exitCode?: number;
  readonly outcome?: string;
  readonly reason?: string;
  readonly dump?: Dump;
  readonly agentVersion?: string;
  /** The signed head that the chain does not contain. */
  readonly head?: SignedMark;
  /** The first record that is not as that head says, or at which they part at the latest. */
  readonly firstBad?: number;
  /** Of a record `audit.key-changed`. */
  readonly keyChange?: KeyChange;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Where the chain stands in a transaction that has added to it: it is asked for once a transaction. */
const ends = new WeakMap<Transaction<Schema>, ChainEnd>();

/** Adds a record to the transaction of what it is about: both are there, or neither. */
export function record(
  transaction: Transaction<Schema>,
  timeMs: number,
  entry: AuditEntry,
): void | Promise<void> {
  const before = ends.get(transaction) ?? newest(transaction);
  if (before !== undefined) return append(transaction, before, timeMs, entry);
  return chainEnd(transaction).then((end) => append(transaction, end, timeMs, entry));
}

function append(transaction: Transaction<Schema>, before: ChainEnd, timeMs: number, entry: AuditEntry): void {
  const seq = before.seq + 1;
  const { type } = entry;
  // The type keeps its place at the beginning. One object: another copy would cost as much as the SHA-256.
  const others: Partial<AuditEntry> = entry;
  const head = { seq, type, time: timeText(timeMs) };
  const text = chainedText({ ...head, ...others, controllerVersion: version, previous: before.hash });
  const end = { seq, hash: hashRecord(text) };
  insertLater(transaction, insertion, [seq, end.hash, text]);
  ends.set(transaction, end);
}

let lastTime = { ms: 0, text: new Date(0).toISOString() };

/** Many records are of the same millisecond. */
function timeText(ms: number): string {
  if (lastTime.ms !== ms) lastTime = { ms, text: new Date(ms).toISOString() };
  return lastTime.text;
}

/** Undefined where all records were pruned, or there was none yet. */
function newest(transaction: Transaction<Schema>): ChainEnd | undefined {
  const [row] = readHot(transaction, 'select seq, hash from audit order by seq desc limit 1');
  return row as ChainEnd | undefined;
}

const insertion = 'insert into audit (seq, hash, record) values';
