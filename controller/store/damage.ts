import { dirname } from 'node:path';
import type { SqliteDatabase, SqliteStatement } from 'kysely';
import { KomposeError } from '../../common/errors.ts';

/** SQLITE_CORRUPT and SQLITE_NOTADB, as https://sqlite.org/rescode.html numbers them. */
const damageCodes: ReadonlySet<number> = new Set([11, 26]);

/** What tells an extended code's primary one. */
const primaryCode = 0xff;

/** Whether SQLite has met a page that is not as it must be. */
export function isDamage(error: unknown): error is Error {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return false;
  return damageCodes.has(error.errcode & primaryCode);
}

export function damaged(path: string, why: string, cause?: unknown): KomposeError {
  const wayOut = `move ${dirname(path)} away and put a backup in its place: kompose controller restore FILE`;
  const message = `the database ${path} is damaged (${why.replaceAll(/\s+/g, ' ')}): ${wayOut}`;
  return new KomposeError('unavailable', message, { cause });
}

/**
 * The database at `path`, whose calls throw `unavailable`, with the way out, where they meet a damaged page. Once one has,
 * no transaction begins any more: whatever is written into such a database may damage more of it.
 */
export function refusingDamage(database: SqliteDatabase, path: string): SqliteDatabase {
  let damage: KomposeError | undefined;
  const tell = (error: unknown): unknown => {
    if (!isDamage(error)) return error;
    damage ??= damaged(path, error.message, error);
    return damage;
  };
  const guarded = <Result>(use: () => Result): Result => {
    try {
      return use();
    } catch (error) {
      throw tell(error);
    }
  };
  return {
    close: () => database.close(),
    prepare(sql) {
      if (sql === 'begin' && damage !== undefined) throw damage;
      const statement = guarded(() => database.prepare(sql));
      return {
        reader: statement.reader,
        all: (parameters) => guarded(() => statement.all(parameters)),
        run: (parameters) => guarded(() => statement.run(parameters)),
        *iterate(parameters) {
          try {
            yield* statement.iterate(parameters);
          } catch (error) {
            throw tell(error);
          }
        },
      } satisfies SqliteStatement;
    },
  };
}
