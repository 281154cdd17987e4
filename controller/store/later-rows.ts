import type { SqliteDatabase, SqliteStatement } from 'kysely';

/** Of the store's statements. */
export type SqlValue = string | number | null;

/** A database that gathers rows which nobody reads before the transaction's next statement. */
export interface GatheringDatabase extends SqliteDatabase {
  /** Adds a row before the next statement of another kind runs; `insert` is one text, up to its `values`. */
  addLater(insert: string, row: readonly SqlValue[]): void;
  /** Adds those that wait. */
  flush(): void;
}

/** Rows a statement: many cost SQLite half of what they cost one by one. */
const sizes = [64, 8, 1];

/*
 * INVARIANT: whatever is prepared, `commit` too, finds the rows in their table; with `rollback` those that wait are gone.
 */
export function gatheringRows(database: SqliteDatabase): GatheringDatabase {
  const statements = new Map<string, SqliteStatement>();
  let insert = '';
  let rows: (readonly SqlValue[])[] = [];
  const statementOf = (count: number, width: number): SqliteStatement => {
    const row = `(${Array.from({ length: width }, () => '?').join(', ')})`;
    const sql = `${insert} ${Array.from({ length: count }, () => row).join(', ')}`;
    const statement = statements.get(sql) ?? database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  const flush = (): void => {
    const due = rows;
    rows = [];
    let at = 0;
    for (const size of sizes)
      for (; at + size <= due.length; at += size)
        statementOf(size, due[at]?.length ?? 0).run(due.slice(at, at + size).flat());
  };
  return {
    close: () => database.close(),
    prepare(sql) {
      if (sql === 'rollback') rows = [];
      if (rows.length > 0) flush();
      return database.prepare(sql);
    },
    addLater(asked, row) {
      if (asked !== insert) flush();
      insert = asked;
      rows.push(row);
      if (rows.length === sizes[0]) flush();
    },
    flush,
  };
}
