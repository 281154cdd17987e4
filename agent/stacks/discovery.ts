import type { Dirent } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { isStackName } from '../../common/names.ts';

/** Compose's own order of preference. */
export const composeFileNames = [
  'compose.yaml',
  'compose.yml',
  'docker-compose.yaml',
  'docker-compose.yml',
] as const;

/** A stack as its folder shows it. */
export interface StackFolder {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly composeFile: string;
  readonly hasHooksFile: boolean;
  readonly hasEnvFile: boolean;
  readonly dumps: number;
}

const dumpName = /_\d{8}_\d{6}\.sql(\.gz|\.zst)?$/;

/**
 * The stacks of a root, by name: its direct, non-hidden, real subfolders with a compose file. A folder that goes
 * while we look is left out. Throws `failed` if the root itself cannot be read.
 */
export async function discoverStacks(root: string): Promise<StackFolder[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: unknown) => {
    throw new KomposeError('failed', `the stacks root ${root} cannot be read`, { cause: error });
  });
  const folders = entries.filter((entry) => entry.isDirectory() && isStackName(entry.name));
  const stacks = await Promise.all(folders.map((entry) => inspectFolder(root, entry.name)));
  return stacks.filter((stack) => stack !== undefined).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * One stack by name; undefined if there is none. Never leaves the root: a name with a slash, a hidden one or a
 * link is no stack.
 */
export async function findStack(root: string, name: string): Promise<StackFolder | undefined> {
  if (!isStackName(name)) return undefined;
  const [isRealFolder, stack] = await Promise.all([isFolder(join(root, name)), inspectFolder(root, name)]);
  return isRealFolder ? stack : undefined;
}

async function isFolder(path: string): Promise<boolean> {
  return lstat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** What a folder answers that is none, or none of ours. */
const gone = ['ENOENT', 'ENOTDIR', 'EACCES'] as const;

async function inspectFolder(root: string, name: string): Promise<StackFolder | undefined> {
  const path = join(root, name);
  try {
    const entries = await readdir(path, { withFileTypes: true });
    const files = new Map(entries.map((entry) => [entry.name, entry]));
    const composeFile = await firstFile(
      path,
      composeFileNames.flatMap((candidate) => files.get(candidate) ?? []),
    );
    if (composeFile === undefined) return undefined;
    return {
      name,
      path,
      composeFile,
      hasHooksFile: files.has('hooks.sh'),
      hasEnvFile: files.has('.env'),
      dumps: entries.filter(({ name: file }) => dumpName.test(file)).length,
    };
  } catch (error) {
    if (gone.some((code) => isSystemError(error, code))) return undefined;
    throw error;
  }
}

/** A link is followed; what the folder's own list says of the others is not asked for again. */
async function firstFile(folder: string, entries: readonly Dirent[]): Promise<string | undefined> {
  for (const entry of entries) {
    const found = entry.isSymbolicLink()
      ? await stat(join(folder, entry.name)).catch(() => undefined)
      : entry;
    if (found?.isFile() === true) return entry.name;
  }
  return undefined;
}
