import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';

const statementCacheSize = 200;

/**
 * node:sqlite in the shape that kysely's SQLite dialect wants, with statements prepared once. WAL with
 * `synchronous=FULL`: a transaction that returned is on the disk. Transactions are there to write, so each waits for its
 * turn at its beginning: another program of ours may write too.
 */
export function openSqlite(path: string): SqliteDatabase {
  const database = new DatabaseSync(path);
  // Pages of 8 KiB rather than 4: twelve records of the audit to one, not five. Only a new database takes it.
  for (const pragma of [
    'page_size=8192',
    'journal_mode=WAL',
    'synchronous=FULL',
    'foreign_keys=ON',
    'busy_timeout=5000',
  ]) {
    database.exec(`PRAGMA ${pragma}`);
  }
  const statements = new Map<string, SqliteStatement>();
  return {
    close: () => database.close(),
    prepare(asked) {
      const sql = asked === 'begin' ? 'begin immediate' : asked;
      const known = statements.get(sql);
      if (known !== undefined) return known;
      const prepared = adapt(database.prepare(sql));
      // SQLite itself takes a transaction back that met a broken disk; what went wrong is told by then.
      const undo = (): ReturnType<SqliteStatement['run']> =>
        database.isTransaction ? prepared.run([]) : { changes: 0, lastInsertRowid: 0 };
      const statement = sql === 'rollback' ? { ...prepared, run: undo } : prepared;
      if (statements.size < statementCacheSize) statements.set(sql, statement);
      return statement;
    },
  };
}

function adapt(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...values(parameters)),
    run: (parameters) => statement.run(...values(parameters)),
    iterate: (parameters) => statement.iterate(...values(parameters)),
  };
}

function values(parameters: readonly unknown[]): SQLInputValue[] {
  return parameters as SQLInputValue[];
}
