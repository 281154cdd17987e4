import { open, readdir, realpath, readlink, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DumpFormat } from '../../common/database-command.ts';
import { isSystemError } from '../../common/errors.ts';
import { dumpFileName, dumpsOf, freeTime, partialFileName, partialsOf } from './dump-names.ts';

/*
 * INVARIANTS
 * - A dump is written under a hidden name that only one process can have made (O_EXCL), and gets its own name when
 *   it is complete and on the disk.
 * - Who made the hidden name may take the dump's name: nobody else is writing a dump for it.
 * - Whoever writes a dump holds it open; a hidden one that nobody has open was left behind.
 */

/** A dump that is being written; `keep` or `discard` ends it. */
export interface NewDump {
  /** Where it will stand. */
  readonly path: string;
  /** Where it is being written. */
  readonly partial: string;
  /** For reading and writing, mode 0600. */
  readonly handle: FileHandle;
  /** Brings it to the disk and gives it its name. Throws what the file system throws. */
  keep(): Promise<void>;
  /** Removes what there is of it; does nothing after `keep`. */
  discard(): Promise<void>;
}

/** Names of the dumps of a database in a folder, newest first. Neither folders nor links count. */
export async function listDumps(folder: string, database: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  return dumpsOf(database, files).map(({ file }) => file);
}

/** Where a dump that begins at `time` would stand. */
export async function planDump(
  folder: string,
  database: string,
  time: Date,
  format: DumpFormat,
): Promise<string> {
  const free = freeTime(database, time, await readdir(folder));
  return join(folder, dumpFileName(database, free, format));
}

/** Begins a dump at `path` or, where that name was taken since it was planned, at the next free second's. */
export async function beginDump(path: string, database: string, format: DumpFormat): Promise<NewDump> {
  const folder = dirname(path);
  for (let wanted = path; ; wanted = await planDump(folder, database, new Date(), format)) {
    const partial = join(folder, partialFileName(basename(wanted)));
    const handle = await openNew(partial);
    if (handle === undefined) continue;
    const dump = newDump(wanted, partial, handle);
    const isTaken = (await readdir(folder)).includes(basename(wanted));
    if (!isTaken) return dump;
    await dump.discard();
  }
}

/** Goes on with a dump that an earlier process began; undefined if its hidden file is no more there. */
export async function reopenDump(partial: string, path: string): Promise<NewDump | undefined> {
  try {
    return newDump(path, partial, await open(partial, 'r+'));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Undefined if it is there already. */
async function openNew(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'wx+', 0o600);
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return undefined;
    throw error;
  }
}

function newDump(path: string, partial: string, handle: FileHandle): NewDump {
  let isOver = false;
  return {
    path,
    partial,
    handle,
    keep: async () => {
      await handle.sync();
      await rename(partial, path);
      isOver = true;
      await handle.close();
      await syncFolder(dirname(path));
    },
    discard: async () => {
      if (isOver) return;
      isOver = true;
      await rm(partial, { force: true });
      await handle.close();
    },
  };
}

/** So that the new name survives a crash of the machine. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what exports of this database left behind that were killed. */
export async function removeLeftovers(folder: string, database: string): Promise<void> {
  const partials = partialsOf(database, await readdir(folder));
  if (partials.length === 0) return;
  const openFiles = await filesOpenAnywhere();
  for (const partial of partials) {
    const path = join(await realpath(folder), partial);
    if (!openFiles.has(path)) await rm(path, { force: true });
  }
}

/** Of all processes that we may look into. */
async function filesOpenAnywhere(): Promise<Set<string>> {
  const files = new Set<string>();
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      files.add(await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => ''));
    }
  }
  return files;
}
