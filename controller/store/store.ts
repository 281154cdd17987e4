import { setImmediate as nextTurn } from 'node:timers/promises';
import { Kysely, SqliteDialect, type SqliteDatabase, type Transaction } from 'kysely';
import { Migrator } from 'kysely/migration';
import { KomposeError } from '../../common/errors.ts';
import { gatheringRows, type GatheringDatabase } from './later-rows.ts';
import { migrations } from './migrations.ts';
import type { Schema } from './schema.ts';
import { damaged, isDamage, refusingDamage } from './damage.ts';
import { serveHotStatements } from './hot-statement.ts';
import { openSqlite } from './sqlite-database.ts';

export type Write<Result> = (transaction: Transaction<Schema>) => Result | Promise<Result>;

/** So long what nobody waits for is gathered. */
const soonMs = 500;

interface Waiting {
  readonly write: Write<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/*
 * The controller's tables.
 *
 * INVARIANTS
 * - When `write` has resolved, its changes are on the disk; when it rejected, none of them is there.
 * - Once a page turns out to be damaged, nothing is written any more.
 * - Writes asked for while a transaction is under way share the next one (group commit), in order. SQLite commits while this
 *   process stands still, so what came meanwhile is heard of only afterwards: before each transaction, all of it is taken in.
 * - `writeSoon` keeps its place among the writes, and may be lost with a process that is killed within half a second.
 */
export class Store {
  readonly db: Kysely<Schema>;
  readonly #database: GatheringDatabase;
  #waiting: Waiting[] = [];
  #isDue = false;
  #dueSoon: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  private constructor(db: Kysely<Schema>, database: GatheringDatabase) {
    this.db = db;
    this.#database = database;
  }

  /**
   * Opens or makes the database, looks whether its pages are whole, and brings its schema up to date. Throws
   * `unavailable` if that fails.
   */
  static async open(path: string): Promise<Store> {
    const database = gatheringRows(openChecked(path));
    const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database }) });
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) {
      await db.destroy();
      throw cannotOpen(path, error);
    }
    return new Store(db, database);
  }

  /**
   * Runs `write` in a transaction. Rejects with what it threw if that was a KomposeError, else with `unavailable`:
   * the store cannot record.
   */
  write<Result>(write: Write<Result>): Promise<Result> {
    const written = this.#queue(write);
    this.#drainNow();
    return written;
  }

  /** Likewise, for what nobody waits for: with the next `write`, or in half a second, so that much of it is one transaction. */
  writeSoon<Result>(write: Write<Result>): Promise<Result> {
    const written = this.#queue(write);
    this.#dueSoon ??= setTimeout(() => this.#drainNow(), soonMs);
    return written;
  }

  /** Writes that were asked for, and no transaction has taken up. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  async close(): Promise<void> {
    if (this.#waiting.length > 0) this.#drainNow();
    await this.#writing;
    await this.db.destroy();
  }

  #queue<Result>(write: Write<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, resolve: resolve as (result: unknown) => void, reject });
    });
  }

  #drainNow(): void {
    this.#isDue = true;
    this.#writing ??= this.#drain();
  }

  async #drain(): Promise<void> {
    while (this.#isDue) {
      await nextTurn();
      clearTimeout(this.#dueSoon);
      this.#dueSoon = undefined;
      this.#isDue = false;
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#commit(batch);
    }
    this.#writing = undefined;
  }

  /** All in one transaction; if one of them fails, each in one of its own, so that it fails alone. */
  async #commit(batch: readonly Waiting[]): Promise<void> {
    try {
      const results = await this.db.transaction().execute(async (transaction) => {
        serveHotStatements(transaction, this.#database);
        const done: unknown[] = [];
        for (const { write } of batch) {
          const result = write(transaction);
          // Most of them are done at once.
          done.push(result instanceof Promise ? await result : result);
        }
        return done;
      });
      for (const [at, { resolve }] of batch.entries()) resolve(results[at]);
    } catch (error) {
      if (batch.length === 1) batch[0]?.reject(asUnavailable(error));
      else for (const one of batch) await this.#commit([one]);
    }
  }
}

/** Throws `unavailable`. */
function openChecked(path: string): SqliteDatabase {
  try {
    const database = openSqlite(path);
    const [first] = database.prepare('PRAGMA quick_check(1)').all([]);
    const { quick_check: found } = { quick_check: 'ok', ...(first as { quick_check?: string }) };
    if (found === 'ok') return refusingDamage(database, path);
    database.close();
    throw damaged(path, found);
  } catch (error) {
    if (error instanceof KomposeError) throw error;
    throw cannotOpen(path, error);
  }
}

function cannotOpen(path: string, error: unknown): KomposeError {
  if (error instanceof KomposeError) return error;
  const why = error instanceof Error ? error.message : String(error);
  if (isDamage(error)) return damaged(path, why, error);
  return new KomposeError(
    'unavailable',
    `the database ${path} cannot be opened or upgraded: ${why}; can its folder be written?`,
    {
      cause: error,
    },
  );
}

function asUnavailable(error: unknown): KomposeError {
  if (error instanceof KomposeError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new KomposeError('unavailable', `the controller's store cannot record this: ${detail}`, {
    cause: error,
  });
}
