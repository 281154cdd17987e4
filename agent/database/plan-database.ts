import type { DumpFormat } from '../../common/database-command.ts';
import { compressionOf, type Compression, type Database, type DatabaseAction } from './database.ts';
import { packed, toolArgv, unpacked } from './tools.ts';

/*
 * The actions of database commands as data. Pure: which files are there, and which database it is, has been found
 * out before.
 */

/**
 * `db:export` into `path`. Owners and privileges of what is in the database are part of the dump; those of the
 * database itself are not: an import takes them from the database that it replaces.
 */
export function planExport(
  database: Database,
  task: string,
  format: DumpFormat,
  path: string,
): DatabaseAction {
  const argv = toolArgv(database, { program: 'pg_dump', name: database.name, options: [] });
  const mark = markOf(task);
  return {
    step: {
      kind: 'export',
      step: 'action',
      name: 'pg_dump',
      argv: packed(argv, compressionOf[format]),
      database,
      mark,
      format,
      path,
    },
    hookArguments: { pre: [], post: [path], fail: [path] },
  };
}

/** `db:import` of a file that is known to be a finished dump. */
export function planImport(
  database: Database,
  task: string,
  { path, compression }: { readonly path: string; readonly compression: Compression },
  inPlace: boolean,
): DatabaseAction {
  const mark = markOf(task);
  const scratch = `${scratchPrefix}${task.toLowerCase()}`;
  const name = inPlace ? database.name : scratch;
  const options = [...scriptOptions, '--file=-'];
  const argv = toolArgv(database, { program: 'psql', name, options, variables: ['PGOPTIONS'] });
  return {
    step: {
      kind: 'import',
      step: 'action',
      name: 'psql',
      argv: unpacked(argv, compression),
      database,
      mark,
      file: path,
      compression,
      scratch,
      inPlace,
    },
    hookArguments: { pre: [path], post: [path], fail: [path] },
  };
}

/** `db:cleanup`, as far as the dumps show that are there now: `paths`, newest first. */
export function planCleanup(
  database: Database,
  task: string,
  folder: string,
  paths: readonly string[],
  keep: number,
): DatabaseAction {
  const removed = paths.slice(keep);
  return {
    step: {
      kind: 'cleanup',
      step: 'action',
      name: 'rm',
      argv: ['rm', '--', ...removed],
      database,
      mark: markOf(task),
      folder,
      keep,
    },
    hookArguments: { pre: [], post: removed, fail: removed },
  };
}

/** psql as a script wants it: nobody's ~/.psqlrc, no results on stdout, the first error ends it with code 3. */
export const scriptOptions = ['--no-psqlrc', '--quiet', '--output=/dev/null', '--set=ON_ERROR_STOP=1'];

/** A database with this at the beginning of its name, the id of a task after it, is ours. */
export const scratchPrefix = 'kompose_import_';

/** Task ids are ULIDs; in lower case they need no quotes anywhere. */
function markOf(task: string): string {
  return `kompose_${task.toLowerCase()}`;
}
