import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from './exists.ts';

const root = '/sys/fs/cgroup';

/** The pids in the cgroup `name` and below it: with cgroup v1 in each hierarchy, with v2 in the one there is. */
export async function cgroupPids(name: string): Promise<number[]> {
  const folders = await cgroupFolders(name);
  const files = await Promise.all(
    folders.map((folder) => readFile(join(folder, 'cgroup.procs'), 'utf8').catch(() => '')),
  );
  const pids = files.flatMap((text) => text.split('\n')).filter((line) => line !== '');
  return [...new Set(pids.map(Number))];
}

/** Lets go of what is frozen (paused containers) in the cgroup `name`: with cgroup v1 not even SIGKILL ends it. */
export async function thawCgroup(name: string): Promise<void> {
  const folders = await cgroupFolders(name);
  await Promise.all(
    folders.flatMap((folder) => [
      writeFile(join(folder, 'freezer.state'), 'THAWED', { flag: 'r+' }).catch(() => undefined),
      writeFile(join(folder, 'cgroup.freeze'), '0', { flag: 'r+' }).catch(() => undefined),
    ]),
  );
}

/** Removes the cgroup `name`, where nothing runs any more. */
export async function removeCgroup(name: string): Promise<void> {
  const deepestFirst = (await cgroupFolders(name)).toSorted((a, b) => b.length - a.length);
  for (const folder of deepestFirst) await rmdir(folder);
}

async function cgroupFolders(name: string): Promise<string[]> {
  const hierarchies = await readdir(root, { withFileTypes: true }).catch(() => []);
  const candidates = hierarchies
    .filter((entry) => entry.isDirectory() && entry.name !== name)
    .map((entry) => join(root, entry.name, name));
  const trees = await Promise.all([join(root, name), ...candidates].map(foldersBelow));
  return trees.flat();
}

async function foldersBelow(folder: string): Promise<string[]> {
  if (!(await exists(folder))) return [];
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const below = entries.filter((entry) => entry.isDirectory());
  return [folder, ...below.map((entry) => join(entry.parentPath, entry.name))];
}
