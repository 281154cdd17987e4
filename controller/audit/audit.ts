import type { Transaction } from 'kysely';
import type { Dump } from '../../common/task-event.ts';
import { KomposeError } from '../../common/errors.ts';
import { version } from '../../common/version.ts';
import type { Schema } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

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
}

export type AuditType =
  | 'run.started'
  | 'run.finished'
  | 'run.cancelled'
  | 'hook.finished'
  | 'action.finished'
  | 'task.finished'
  | 'host.joined'
  | 'host.labelled'
  | 'host.removed'
  | 'host.refused'
  | 'user.login'
  | 'user.removed'
  | 'login.failed'
  | 'token.created'
  | 'token.revoked'
  | 'request.denied';

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
  /** The run and task whose hook began this run. */
  readonly parent?: { readonly run: string; readonly task: string };
  readonly hook?: HookRecord;
  readonly action?: { readonly name: string; readonly exitCode: number; readonly durationMs: number };
  readonly exitCode?: number;
  readonly outcome?: string;
  readonly reason?: string;
  readonly dump?: Dump;
  readonly agentVersion?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Adds a record to the transaction of what it is about: both are there, or neither. */
export async function record(
  transaction: Transaction<Schema>,
  timeMs: number,
  { type, ...entry }: AuditEntry,
): Promise<void> {
  const full = { type, time: new Date(timeMs).toISOString(), ...entry, controllerVersion: version };
  await transaction
    .insertInto('audit')
    .values({ record: JSON.stringify(full) })
    .execute();
}

export interface AuditRow {
  readonly seq: number;
  /** One JSON object, `seq` first. */
  readonly json: string;
}

/** One record. Throws `not-found`. */
export async function findAudit(store: Store, seq: number): Promise<AuditRow> {
  const row = await store.db.selectFrom('audit').selectAll().where('seq', '=', seq).executeTakeFirst();
  if (row === undefined) throw new KomposeError('not-found', `there is no record ${seq}: kompose audit ls`);
  return toRow(row);
}

function toRow({ seq, record: text }: { seq: number; record: string }): AuditRow {
  return { seq, json: `{"seq":${seq},${text.slice(1)}` };
}

/** The newest `limit` records (0: all), oldest first, read in pages so that memory stays bounded. */
export async function* listAudit(store: Store, limit: number): AsyncGenerator<AuditRow> {
  const newest = await store.db
    .selectFrom('audit')
    .select(({ fn }) => [fn.max('seq').as('seq')])
    .executeTakeFirst();
  const last = newest?.seq ?? 0;
  let after = limit > 0 ? last - limit : 0;
  for (;;) {
    const page = await store.db
      .selectFrom('audit')
      .selectAll()
      .where('seq', '>', after)
      .where('seq', '<=', last)
      .orderBy('seq')
      .limit(500)
      .execute();
    yield* page.map(toRow);
    const end = page.at(-1)?.seq;
    if (end === undefined) return;
    after = end;
  }
}
