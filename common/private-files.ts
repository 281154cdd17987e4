import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join, basename } from 'node:path';
import { KomposeError } from './errors.ts';

/** Makes `folder` with mode 0700, or checks that an existing one is ours and closed to others. Throws `failed`. */
export async function ensurePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = await lstat(folder);
  const own = process.getuid?.();
  if (own !== undefined && uid !== own) {
    throw new KomposeError('failed', `${folder} belongs to another user: keys are not kept there`);
  }
  if ((mode & 0o077) !== 0) {
    throw new KomposeError('failed', `${folder} is open to others: run chmod 700 ${folder}`);
  }
}

/** Throws `failed` for a file or folder that others may look into, with what mends it. */
export function refuseOpen(path: string): void {
  const { mode } = statSync(path);
  if ((mode & 0o077) !== 0)
    throw new KomposeError('failed', `${path} is open to others: run chmod go= ${path}`);
}

/**
 * Writes a file of mode 0600 whole or not at all: beside its final name, synced, renamed, the folder synced.
 */
export async function writePrivateFile(path: string, content: string | Uint8Array): Promise<void> {
  const beside = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  try {
    const file = await open(beside, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** The same at once, for what must not be overtaken by what comes after it. */
export function writePrivateFileNow(path: string, content: string): void {
  const beside = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  try {
    withFile(beside, 'wx', (file) => writeFileSync(file, content));
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
  withFile(dirname(path), 'r', () => undefined);
}

/** Synced before it is closed. */
function withFile(path: string, flags: string, use: (file: number) => void): void {
  const file = openSync(path, flags, 0o600);
  try {
    use(file);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes a rename or removal inside `folder` durable. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
