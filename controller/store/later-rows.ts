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
const sizes = [64, 8, 1] as const;

/*
 * INVARIANT: whatever is prepared, `commit` too, finds the rows in their table; with `rollback` those that wait are gone.
 */
export function gatheringRows(database: SqliteDatabase): GatheringDatabase {
  const statements = new Map<string, SqliteStatement>();
  let insert = '';
  let width = 1;
  /** Of all rows that wait, one after the other. */
  let values: SqlValue[] = [];
  const statementOf = (count: number): SqliteStatement => {
    const key = `${count} ${insert}`;
    const statement = statements.get(key) ?? database.prepare(`${insert} ${placesOf(count, width)}`);
    statements.set(key, statement);
    return statement;
  };
  const flush = (): void => {
    const due = values;
    values = [];
    let at = 0;
    for (const size of sizes)
      for (const end = size * width; due.length - at >= end; at += end)
        statementOf(size).run(at === 0 && due.length === end ? due : due.slice(at, at + end));
  };
  return {
    close: () => database.close(),
    prepare(sql) {
      if (sql === 'rollback') values = [];
      if (values.length > 0) flush();
      return database.prepare(sql);
    },
    addLater(asked, row) {
      if (asked !== insert) flush();
      insert = asked;
      width = row.length;
      values.push(...row);
      if (values.length === sizes[0] * width) flush();
    },
    flush,
  };
}

/** `(?, ?), (?, ?)` */
function placesOf(rows: number, width: number): string {
  const row = `(${Array.from({ length: width }, () => '?').join(', ')})`;
  return Array.from({ length: rows }, () => row).join(', ');
}
