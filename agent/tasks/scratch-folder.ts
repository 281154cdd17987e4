import { mkdtempSync, statfsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { removeWritten } from '../process/keeper-folder.ts';

/** Kept in memory on every usual Linux. */
const memoryFolder = '/dev/shm';
/** `TMPFS_MAGIC` of linux/magic.h. */
const tmpfs = 0x01021994;

const prefix = (task: string): string => `kompose-${task}-`;
const besidePrefix = 'scratch-';

/**
 * Makes a folder for what of a task stands unmasked while it goes on: private (0700), in memory where the host has a
 * tmpfs, else inside `workFolder`. The caller removes it. Throws Node's system errors.
 */
export function makeScratchFolder(task: string, workFolder: string): string {
  try {
    if (statfsSync(memoryFolder).type === tmpfs) return mkdtempSync(join(memoryFolder, prefix(task)));
  } catch {
    // It is not there, or not for us.
  }
  return mkdtempSync(join(workFolder, besidePrefix));
}

/** Removes what a process that was killed has left of a task, save for the folders that go on. */
export async function removeScratchFolders(
  task: string,
  workFolder: string,
  kept: readonly string[] = [],
): Promise<void> {
  const all = await Promise.all([pathsIn(memoryFolder, prefix(task)), pathsIn(workFolder, besidePrefix)]);
  const over = all.flat().filter((path) => !kept.includes(path));
  await Promise.all(over.map(removeWritten));
}

async function pathsIn(folder: string, start: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.startsWith(start)).map((name) => join(folder, name));
}
