import { access, constants, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseDatabaseCommand, type DatabaseOrder } from '../../common/database-command.ts';
import { KomposeError } from '../../common/errors.ts';
import type { StopSignal } from '../tasks/stop-signal.ts';
import { checkDump } from './check-dump.ts';
import { compressionOf, type Compression, type Database, type DatabaseAction } from './database.ts';
import { listDumps, planDump } from './dump-folder.ts';
import { findDatabase, needsServices, type Variables } from './find-database.ts';
import { planCleanup, planExport, planImport } from './plan-database.ts';
import { readServices } from './postgres-services.ts';
import { programsFor } from './tools.ts';

export interface DatabaseTask {
  readonly command: string;
  readonly args: readonly string[];
  readonly task: string;
  /** Absolute path of the stack's folder. */
  readonly folder: string;
  readonly env: Variables;
  readonly compose: readonly [string, ...string[]];
  readonly now: Date;
  readonly stop: StopSignal;
}

export interface PreparedAction {
  readonly action: DatabaseAction;
  /** Values that no output may show, beside those of the environment. */
  readonly secrets: readonly string[];
  /** What will be done to which database, for the user. */
  readonly notice: string;
}

/**
 * Reads what the plan of a database command depends on: where the database is, which dumps there are, whether the one
 * to import is whole, whether the programs are there. Changes nothing. Undefined for a stack without a database.
 * Throws `failed` with the task's reason.
 */
export async function prepareDatabase(task: DatabaseTask): Promise<PreparedAction | undefined> {
  const order = parseDatabaseCommand(task.command, task.args);
  const { compose, folder, env } = task;
  const services = needsServices(env) ? await readServices(compose, folder, env) : [];
  const database = findDatabase(env, services, compose);
  if (database === undefined) return undefined;
  const { action, notice } = await prepareOrder(order, database, task);
  const { at } = database;
  const password = at.kind === 'container' ? at.password : undefined;
  return { action, notice, secrets: password === undefined ? [] : [password] };
}

type Decided = Pick<PreparedAction, 'action' | 'notice'>;

async function prepareOrder(order: DatabaseOrder, database: Database, task: DatabaseTask): Promise<Decided> {
  switch (order.kind) {
    case 'export': {
      await requirePrograms(database, compressionOf[order.format], task.env);
      const path = await planDump(task.folder, database.name, task.now, order.format);
      return {
        action: planExport(database, task.task, order.format, path),
        notice: `database ${database.name} → ${path}`,
      };
    }
    case 'import': {
      const path = await chooseDump(order.file, database, task);
      const compression = await checkDump(path, task.env, task.stop);
      await requirePrograms(database, compression, task.env);
      const how = order.inPlace ? ', which is dropped first' : '';
      return {
        action: planImport(database, task.task, { path, compression }, order.inPlace),
        notice: `${path} → database ${database.name}${how}`,
      };
    }
    case 'cleanup': {
      const dumps = await listDumps(task.folder, database.name);
      const paths = dumps.map((file) => join(task.folder, file));
      const removed = Math.max(0, paths.length - order.keep);
      return {
        action: planCleanup(database, task.task, task.folder, paths, order.keep),
        notice: `dumps of database ${database.name}: ${paths.length}, of which ${removed} to remove`,
      };
    }
  }
}

async function chooseDump(
  file: string | undefined,
  { name }: Database,
  { folder }: DatabaseTask,
): Promise<string> {
  if (file !== undefined) return resolve(folder, file);
  const [newest] = await listDumps(folder, name);
  if (newest !== undefined) return join(folder, newest);
  throw new KomposeError(
    'failed',
    `there is no dump of database ${name} in ${folder}: name a file, or db:export`,
  );
}

/** Throws `failed` with what to install. */
async function requirePrograms(database: Database, compression: Compression, env: Variables): Promise<void> {
  for (const program of programsFor(database, compression)) {
    if (await isOnPath(program, env['PATH'] ?? '')) continue;
    const what = program.startsWith('p') ? `PostgreSQL's client programs` : `the program ${program}`;
    throw new KomposeError('failed', `${program} is not on this host's PATH: install ${what}`);
  }
}

async function isOnPath(program: string, path: string): Promise<boolean> {
  for (const folder of path.split(':')) {
    const file = join(folder || '.', program);
    const isFile = await stat(file).then(
      (stats) => stats.isFile(),
      () => false,
    );
    if (
      isFile &&
      (await access(file, constants.X_OK).then(
        () => true,
        () => false,
      ))
    )
      return true;
  }
  return false;
}
