import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { chainAudit } from './chain-audit.ts';
import { isOfType } from './record-type.ts';

/** Forward only, in order of their names; one that was released is never changed. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-first-tables': { up: createFirstTables },
  '0002-run-requests': { up: createRunRequests },
  '0003-audit-chain': { up: chainAudit },
  '0004-roles': { up: createRoles },
  '0005-dumps': { up: addDumps },
  '0006-signatures': { up: addSignatures },
  '0007-trust': { up: addTrust },
  '0008-waiting-tasks': { up: addWaitingTasks },
  '0009-removed-output': { up: addRemovedOutput },
  '0010-index-of-types': { up: indexTypes },
};

/** Of those from before it is not known whom they trust, until they are seen. */
async function addTrust(db: Kysely<unknown>): Promise<void> {
  for (const table of ['hosts', 'users']) {
    await db.schema
      .alterTable(table)
      .addColumn('trusts', 'text', (column) => column.notNull().defaultTo(''))
      .execute();
  }
}

/** Roles of one's own, tokens that let a host join again, and certificates that were renewed. */
async function createRoles(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('roles')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('rules', 'text', (column) => column.notNull())
    .addColumn('changed_at', 'integer', (column) => column.notNull())
    .execute();
  await db.schema
    .alterTable('tokens')
    .addColumn('replaces', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
  for (const table of ['hosts', 'users']) {
    await db.schema.alterTable(table).addColumn('renewed_certificate', 'text').execute();
  }
}

/** Of the runs before it there is no row: they cannot be repeated. */
async function createRunRequests(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('run_requests')
    .addColumn('run_id', 'text', (column) => column.primaryKey().references('runs.id'))
    .addColumn('request', 'text', (column) => column.notNull())
    .addColumn('has_stdin', 'integer', (column) => column.notNull())
    .addColumn('retry_of', 'text')
    .execute();
}

/** The tasks before it tell of their dumps in the audit alone. */
async function addDumps(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('tasks').addColumn('dump', 'text').execute();
}

/** Runs before it cannot be repeated, and nobody has a key in the roster: `kompose controller recover` begins one. */
async function addSignatures(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('roster')
    .addColumn('seq', 'integer', (column) => column.primaryKey())
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('signature', 'text', (column) => column.notNull())
    .execute();
  await db.schema
    .alterTable('tokens')
    .addColumn('key', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
  await db.schema.alterTable('run_requests').addColumn('signed_order', 'text').execute();
  await db.schema.alterTable('tasks').addColumn('signature', 'text').execute();
}

/** Tasks that wait outlive the controller's process, with secrets that only their hosts can read. */
async function addWaitingTasks(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('hosts').addColumn('sealing_key', 'text').execute();
  await db.schema.alterTable('tasks').addColumn('sealed', 'text').execute();
  await db.schema.alterTable('runs').addColumn('cancelled', 'text').execute();
}

/** Runs outlive their output. */
async function addRemovedOutput(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('runs').addColumn('output_removed_at', 'integer').execute();
}

/** What an index of some records asks of each new one is not to take all its JSON apart. */
async function indexTypes(db: Kysely<unknown>): Promise<void> {
  for (const name of ['audit_contradictions', 'audit_scripts']) await db.schema.dropIndex(name).execute();
  await sql`create index audit_contradictions on audit (seq) where ${isOfType('audit.contradicted')}`.execute(
    db,
  );
  await sql`create index audit_scripts on audit (record ->> '$.script.textSha256') where ${isOfType('hook.kept')}`.execute(
    db,
  );
}

async function createFirstTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('hosts')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('certificate', 'text', (column) => column.notNull())
    .addColumn('certificate_not_after', 'integer', (column) => column.notNull())
    .addColumn('joined_at', 'integer', (column) => column.notNull())
    .addColumn('last_seen', 'integer')
    .addColumn('agent_version', 'text', (column) => column.notNull())
    .addColumn('inventory', 'text')
    .execute();
  await db.schema
    .createTable('users')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('certificate', 'text', (column) => column.notNull())
    .addColumn('certificate_not_after', 'integer', (column) => column.notNull())
    .addColumn('created_at', 'integer', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('secret_hash', 'text', (column) => column.notNull().unique())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('labels', 'text', (column) => column.notNull())
    .addColumn('uses_left', 'integer', (column) => column.notNull())
    .addColumn('expires_at', 'integer', (column) => column.notNull())
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addColumn('created_at', 'integer', (column) => column.notNull())
    .execute();
  await createRunTables(db);
  await db.schema
    .createTable('audit')
    .addColumn('seq', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('record', 'text', (column) => column.notNull())
    .execute();
}

async function createRunTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('runs')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('pattern', 'text', (column) => column.notNull())
    .addColumn('command', 'text', (column) => column.notNull())
    .addColumn('args', 'text', (column) => column.notNull())
    .addColumn('user', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('started_at', 'integer', (column) => column.notNull())
    .addColumn('finished_at', 'integer')
    .addColumn('exit_code', 'integer')
    .addColumn('targets', 'integer', (column) => column.notNull())
    .addColumn('counts', 'text', (column) => column.notNull())
    .addColumn('dry_run', 'integer', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('tasks')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('run_id', 'text', (column) => column.notNull().references('runs.id'))
    .addColumn('place', 'integer', (column) => column.notNull())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('stack', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('exit_code', 'integer')
    .addColumn('started_at', 'integer')
    .addColumn('finished_at', 'integer')
    .execute();
  await db.schema.createIndex('tasks_of_run').on('tasks').columns(['run_id', 'place']).execute();
  await db.schema
    .createTable('steps')
    .addColumn('task_id', 'text', (column) => column.notNull().references('tasks.id'))
    .addColumn('place', 'integer', (column) => column.notNull())
    .addColumn('step', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('outcome', 'text', (column) => column.notNull())
    .addColumn('exit_code', 'integer', (column) => column.notNull())
    .addColumn('duration_ms', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('steps_key', ['task_id', 'place'])
    .execute();
}
