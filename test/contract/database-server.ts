import assert from 'node:assert/strict';
import { readdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import type { CommandOptions, KomposeFleet } from '../fleet/kompose-fleet.ts';
import { postgresImage, psqlProgram } from '../fleet/postgres-image.ts';
import { endFleet, idleService, runJson, startFleet, until, type EventsOfRun } from '../e2e/support.ts';

/*
 * A real PostgreSQL server in a container of one host, shared by the tests of a file. Each test has a database and a
 * stack of its own, so that they can go on at the same time.
 */

export const host = 'prod-1';
export const password = 's3cret$pass word';
export const ways = ['in the container', 'over TCP'] as const;
export type Way = (typeof ways)[number];

const serverCompose = `
services:
  db:
    image: postgres:15
    environment:
      POSTGRES_USER: app
      POSTGRES_PASSWORD: 's3cret$$pass word'
      POSTGRES_DB: shop
    tmpfs: ['/small:size=32m,mode=1777']
`;

/** Each hook tells that it ran and with what, in a file beside it; `FAIL=pre` makes the pre hook fail. */
export const tellingHooks = ['export', 'import', 'cleanup']
  .flatMap((command) => ['pre', 'post', 'fail'].map((when) => [when, `hook_${when}_db_${command}`] as const))
  .map(([when, name]) => `${name}() { echo "${name}($*)" >> told; [[ \${FAIL-} != ${when} ]]; }`)
  .join('\n');

export class DatabaseServer {
  readonly fleet: KomposeFleet;
  /** Of the server's stack and its compose project. */
  readonly project: string;
  #address = '';
  #places = 0;

  /** A fleet of one host with a server on it; `endFleet` ends both. */
  static async startAll(): Promise<DatabaseServer> {
    const fleet = await startFleet([host], { images: [await postgresImage()] });
    try {
      const server = new DatabaseServer(fleet, 'server');
      await server.start();
      return server;
    } catch (error) {
      await endFleet(fleet);
      throw error;
    }
  }

  constructor(fleet: KomposeFleet, project: string) {
    this.fleet = fleet;
    this.project = project;
  }

  get container(): string {
    return `${this.project}-db-1`;
  }

  /** Starts it, also after `kill`; resolves when it answers. */
  async start(): Promise<void> {
    await this.fleet.writeStack(host, this.project, { 'compose.yaml': serverCompose });
    const { exitCode, stderr } = await this.fleet.kompose([this.project, 'up', '-d']);
    assert.equal(exitCode, 0, stderr);
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
    const address = await this.fleet.rig.docker(host, ['inspect', '-f', format, this.container]);
    assert.ok(this.#address === '' || this.#address === address, 'it has another address');
    this.#address = address;
    const answers = async (): Promise<boolean> =>
      (await this.sql('postgres', 'SELECT 1').catch(() => '')) === '1';
    await until('the server answers', answers, 60_000);
  }

  async kill(): Promise<void> {
    await this.fleet.rig.docker(host, ['kill', this.container]);
  }

  /** A stack with a new database that holds one row, reached in that way. `files` are laid over the stack's. */
  async place(way: Way, files: Readonly<Record<string, string>> = {}): Promise<Place> {
    const name = await this.newDatabase();
    return this.stack(way, name, name, files);
  }

  /** `options` are those of CREATE DATABASE. */
  async newDatabase(options = ''): Promise<string> {
    const name = `${this.project}${++this.#places}`;
    await this.sql('postgres', `CREATE DATABASE ${name} ${options}`);
    await this.sql(name, 'CREATE TABLE wares(name text)', "INSERT INTO wares VALUES ('as dumped')");
    return name;
  }

  /** A stack for a database that may not be there. */
  async stack(
    way: Way,
    stack: string,
    database: string,
    files: Readonly<Record<string, string>> = {},
  ): Promise<Place> {
    const own =
      way === 'over TCP'
        ? { 'compose.yaml': idleService, '.env': this.tcpVariables(database) }
        : {
            'compose.yaml': serverCompose,
            '.env': `COMPOSE_PROJECT_NAME=${this.project}\nDB_NAME=${database}\n`,
          };
    await this.fleet.writeStack(host, stack, { 'hooks.sh': tellingHooks, ...own, ...files });
    return new Place(this, stack, database);
  }

  /** What a stack's `.env` says to reach the server from outside. */
  tcpVariables(database: string): string {
    const quoted = `'${database.replaceAll("'", String.raw`\'`)}'`;
    return `DB_HOST=${this.#address}\nDB_USER=app\nDB_PASSWORD='${password}'\nDB_NAME=${quoted}\n`;
  }

  /** What psql prints, bare. */
  async sql(database: string, ...statements: readonly string[]): Promise<string> {
    const { stdout } = await this.psql(database, 'test', statements);
    return stdout.trim();
  }

  /** With no statement it reads `input`. */
  psql(database: string, name: string, statements: readonly string[], signal?: AbortSignal, input = '') {
    const { argvPrefix, env } = this.fleet.rig.host(host);
    const [nsenter = 'env', ...inside] = argvPrefix;
    const commands = statements.flatMap((statement) => ['-c', statement]);
    const value = database.replaceAll(/['\\]/g, String.raw`\$&`);
    const where = ['-h', this.#address, '-U', 'app', '-d', `dbname='${value}'`];
    const argv = [...inside, psqlProgram, '-XAtq', '-v', 'ON_ERROR_STOP=1', ...where, ...commands];
    const own = { PGPASSWORD: password, PGAPPNAME: name };
    return execa(nsenter, argv, {
      env: { ...env, ...own },
      input,
      ...(signal === undefined ? {} : { cancelSignal: signal, reject: false }),
    });
  }

  /**
   * A session of somebody else's that executes `statement` and then sleeps; `ended` resolves when it has gone. It is
   * ended when it is disposed of. `name`: what it calls itself.
   */
  async holdSession(
    database: string,
    statement: string,
    name = `holder of ${database}`,
  ): Promise<AsyncDisposable & { ended: Promise<unknown> }> {
    const over = new AbortController();
    const session = this.psql(database, name, [`BEGIN; ${statement}; SELECT pg_sleep(600)`], over.signal);
    const ended = session.catch(() => undefined);
    await this.until('the session sleeps', `application_name = '${name}' AND wait_event = 'PgSleep'`);
    const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${name}'`;
    const dispose = async (): Promise<void> => {
      await this.sql('postgres', end).catch(() => over.abort());
      await ended;
    };
    return { ended, [Symbol.asyncDispose]: dispose };
  }

  /** Resolves when there is a session for which the condition on pg_stat_activity holds. */
  async until(what: string, condition: string): Promise<void> {
    // The server looks by itself: a client for each look would take the processor from those it waits for.
    const look = `DO $look$ BEGIN
      FOR turn IN 1..1200 LOOP
        PERFORM pg_stat_clear_snapshot();
        IF EXISTS (SELECT FROM pg_stat_activity WHERE ${condition}) THEN RETURN; END IF;
        PERFORM pg_sleep(0.05);
      END LOOP;
      RAISE 'not so after 60 s';
    END $look$`;
    await this.sql('postgres', look).catch((error: unknown) => {
      throw new Error(`the server does not say: ${what}`, { cause: error });
    });
  }
}

/** A stack and its database. */
export class Place {
  readonly server: DatabaseServer;
  readonly stack: string;
  readonly database: string;
  readonly folder: string;

  constructor(server: DatabaseServer, stack: string, database: string) {
    this.server = server;
    this.stack = stack;
    this.database = database;
    this.folder = join(server.fleet.stacks(host), stack);
  }

  path(file: string): string {
    return join(this.folder, file);
  }

  /** Options before the stack, then the command: `run(['--timeout', '5s'], 'db:export')`. */
  async run(options: readonly string[], ...words: readonly string[]): Promise<DatabaseRun> {
    return this.#asRun(await runJson(this.server.fleet, [...options, this.stack, ...words], patience));
  }

  /** One that succeeds. */
  async does(...words: readonly string[]): Promise<DatabaseRun> {
    const run = await this.run([], ...words);
    assert.equal(run.exitCode, 0, run.reason);
    return run;
  }

  /** One that fails; it gives the reason. */
  async fails(options: readonly string[], ...words: readonly string[]): Promise<string> {
    const run = await this.run(options, ...words);
    assert.equal(run.exitCode, 1, run.stderr);
    return run.reason;
  }

  /** Exports and gives the path of the dump. */
  async dump(...words: readonly string[]): Promise<string> {
    const { dump } = await this.does('db:export', ...words);
    await this.told();
    return dump?.path ?? '';
  }

  /** A finished dump with a statement in its middle, after the data of the table. */
  async dumpWith(statement: string, file = 'broken.sql'): Promise<string> {
    const text = await readFile(await this.dump(), 'utf8');
    await this.server.fleet.writeStack(host, this.stack, {
      [file]: text.replace(/^\\\.\n/m, `\\.\n${statement}\n`),
    });
    return this.path(file);
  }

  sql(...statements: readonly string[]): Promise<string> {
    return this.server.sql(this.database, ...statements);
  }

  /** All that the table holds. */
  wares(): Promise<string> {
    return this.sql("SELECT string_agg(name, ' ') FROM wares");
  }

  /** Dumps and what is on the way to be one, by name. */
  async dumps(): Promise<string[]> {
    return (await readdir(this.folder)).filter((file) => /\.sql|partial/.test(file)).toSorted();
  }

  /** What the hooks told since it was asked last. */
  async told(): Promise<string[]> {
    const text = await readFile(this.path('told'), 'utf8').catch(() => '');
    await rm(this.path('told'), { force: true });
    return text.split('\n').filter((line) => line !== '');
  }

  /** Resolves when a tool of kompose has a session on the database or the one that is to replace it, and there is so. */
  untilWorking(condition: string): Promise<void> {
    return this.server.until(`a tool works where ${condition}`, `${this.#ours} AND ${condition}`);
  }

  /** Which sessions of pg_stat_activity are those of kompose's tools on the database or the one to replace it. */
  get #ours(): string {
    const marker = `kompose: import into ${this.database}`;
    const scratch = `SELECT oid FROM pg_database WHERE shobj_description(oid, 'pg_database') = '${marker}'`;
    const here = `(datname = '${this.database}' OR datid IN (${scratch}))`;
    return `application_name LIKE 'kompose%' AND ${here}`;
  }

  /** Lets go on what `sleepsUntilWoken` holds up. */
  async wake(): Promise<void> {
    const query = `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE ${this.#ours} AND ${sleeps}`;
    await this.server.sql('postgres', query);
  }

  #asRun(run: EventsOfRun): DatabaseRun {
    const end = run.ends[`${host}:${this.stack}`];
    const notices = run.events.flatMap(({ type, text }) => (type === 'notice' ? [text] : []));
    return {
      ...run,
      state: end?.state,
      reason: end?.reason ?? run.stderr,
      dump: end?.dump,
      notices: notices.join('\n'),
      task: run.events.find(({ task }) => task !== undefined)?.task ?? '',
    };
  }
}

export const waitsForLock = "wait_event_type = 'Lock'";
/** A statement that succeeds once `wake` has been called. */
export const sleepsUntilWoken =
  'DO $wait$ BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END $wait$;';
export const sleeps = "wait_event = 'PgSleep'";

/** For a server that has gone away: kompose asks it for a while whether it is back. */
const patience: CommandOptions = { timeoutMs: 120_000 };

export interface DatabaseRun extends EventsOfRun {
  readonly state: string | undefined;
  readonly reason: string;
  readonly dump: { readonly path: string; readonly sizeBytes: number; readonly sha256: string } | undefined;
  readonly notices: string;
  readonly task: string;
}

/**
 * Nothing of a task is left: no process on the machine, containers included, no session and no database on the
 * server; and the database of the place takes connections.
 */
export async function leavesNothing({ server, database }: Place, task: string): Promise<void> {
  const mark = `kompose_${task.toLowerCase()}`;
  const sessions = `SELECT count(*) FROM pg_stat_activity WHERE application_name = '${mark}'`;
  await until('no session is left', async () => (await server.sql('postgres', sessions)) === '0');
  await until('no process is left', async () => (await processesWith(`PGAPPNAME=${mark}`)).length === 0);
  const left = `SELECT count(*) FROM pg_database WHERE datname LIKE 'kompose_import_${task.toLowerCase()}%'`;
  assert.equal(await server.sql('postgres', left), '0');
  assert.equal(await server.sql(database, 'SELECT 1'), '1');
}

/** Command lines of the processes of this machine, containers included, whose environment has that variable. */
export async function processesWith(variable: string): Promise<string[]> {
  return (await processesBearing(variable)).map(({ argv }) => argv.join('\0'));
}

/** Ids of those among them that run this program. */
export async function pidsWith(variable: string, program: string): Promise<number[]> {
  const all = await processesBearing(variable);
  return all.filter(({ argv: [name = ''] }) => basename(name) === program).map(({ pid }) => pid);
}

async function processesBearing(variable: string): Promise<{ pid: number; argv: string[] }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = pids.map(async (pid) => {
    const environ = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (!environ.split('\0').includes(variable)) return [];
    return [{ pid: Number(pid), argv: (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0') }];
  });
  return (await Promise.all(found.map((each) => each.catch(() => [])))).flat();
}
