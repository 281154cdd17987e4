import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/** Kept in memory on every usual Linux. */
const memoryFolder = '/dev/shm';
/** `TMPFS_MAGIC` of linux/magic.h. */
const tmpfs = 0x01021994;

const prefix = (task: string): string => `kompose-${task}-`;

/**
 * Makes a folder for what a task's running step leaves unmasked: private (0700), in memory where the host has a tmpfs,
 * else inside `workFolder`. The caller removes it.
 */
export async function makeScratchFolder(task: string, workFolder: string): Promise<string> {
  const { type } = await statfs(memoryFolder).catch(() => ({ type: 0 }));
  const beside = (): Promise<string> => mkdtemp(join(workFolder, 'scratch-'));
  return type === tmpfs ? mkdtemp(join(memoryFolder, prefix(task))).catch(beside) : beside();
}

/** Removes what a process that was killed has left in memory of a task, save for one folder that goes on. */
export async function removeScratchFolders(task: string, kept?: string): Promise<void> {
  const names = await readdir(memoryFolder).catch(() => []);
  const own = names.filter((name) => name.startsWith(prefix(task)) && join(memoryFolder, name) !== kept);
  await Promise.all(own.map((name) => rm(join(memoryFolder, name), { recursive: true, force: true })));
}
