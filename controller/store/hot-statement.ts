import type { SqliteStatement, Transaction } from 'kysely';
import type { GatheringDatabase, SqlValue } from './later-rows.ts';
import type { Schema } from './schema.ts';

/*
 * Statements that each task of a run asks for. kysely puts a statement together, and hands it through four layers of
 * promises, in several times the time that SQLite takes for it.
 */

interface Prepared {
  readonly database: GatheringDatabase;
  readonly statements: Map<string, SqliteStatement>;
}

const prepared = new WeakMap<GatheringDatabase, Prepared>();
/** Of transactions that are under way. */
const databases = new WeakMap<Transaction<Schema>, Prepared>();

/** Hot statements of this transaction go to that database. */
export function serveHotStatements(transaction: Transaction<Schema>, database: GatheringDatabase): void {
  const known = prepared.get(database) ?? { database, statements: new Map() };
  prepared.set(database, known);
  databases.set(transaction, known);
}

/** Runs a statement that has no rows to give; `sql` is one of a few. Gives how many rows it has changed. */
export function runHot(
  transaction: Transaction<Schema>,
  sql: string,
  parameters: readonly SqlValue[],
): number {
  return Number(statementOf(transaction, sql).run(parameters).changes);
}

/** The rows that a statement gives; `sql` is one of a few. */
export function readHot(
  transaction: Transaction<Schema>,
  sql: string,
  parameters: readonly SqlValue[] = [],
): readonly unknown[] {
  const statement = statementOf(transaction, sql);
  databaseOf(transaction).database.flush();
  return statement.all(parameters);
}

/** Adds a row no later than the transaction's next statement but one of these, together with others; see `addLater`. */
export function insertLater(
  transaction: Transaction<Schema>,
  insert: string,
  row: readonly SqlValue[],
): void {
  databaseOf(transaction).database.addLater(insert, row);
}

function statementOf(transaction: Transaction<Schema>, sql: string): SqliteStatement {
  const { database, statements } = databaseOf(transaction);
  const statement = statements.get(sql) ?? database.prepare(sql);
  statements.set(sql, statement);
  return statement;
}

function databaseOf(transaction: Transaction<Schema>): Prepared {
  const database = databases.get(transaction);
  if (database === undefined) throw new Error('a transaction of the store is wanted');
  return database;
}
