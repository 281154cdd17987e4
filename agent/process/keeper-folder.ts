import { readFileSync, writeFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';
import { isRunning, type ProcessIdentity } from './process-identity.ts';
import { readPatiently } from './scarcity.ts';

/* What is known of a kept process by its folder alone. */

/** How long a keeper that has been made may take to write its number. */
const keeperMs = 2000;

/** What stands in `keeper` where there will be none. */
const nobody = 'nobody\n';

/** Makes sure that nobody begins what belongs into this folder any more; false if somebody has. */
export function forestall(folder: string): boolean {
  const path = join(folder, 'keeper');
  try {
    writeFileSync(path, nobody, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return readOptional(path) === nobody;
    // The folder is not there: neither can a keeper begin in it.
    if (isSystemError(error, 'ENOENT')) return true;
    throw error;
  }
}

/** Who keeps the process of a folder; undefined if nobody does (any more). */
export function keeperOf(folder: string): ProcessIdentity | undefined {
  const keeper = readKeeper(folder);
  return keeper !== undefined && isRunning(keeper) ? keeper : undefined;
}

/** Removes a process's folder; what still writes into it is dropped. */
export async function discardKept(folder: string): Promise<void> {
  const keeper = keeperOf(folder);
  // It only lingers for the lock.
  if (keeper !== undefined) signal(keeper.pid, 'SIGKILL');
  await removeWritten(folder);
}

/** Removes a folder that a keeper may still write into; does not look into it, so anybody may have made it. */
export async function removeWritten(folder: string): Promise<void> {
  // Out of the way first: the keeper's children make files in it by its name.
  const beside = `${folder}.over`;
  const moved = await rename(folder, beside).then(
    () => beside,
    () => folder,
  );
  await rm(moved, { recursive: true, force: true });
}

function readKeeper(folder: string): ProcessIdentity | undefined {
  const [, pid, since] = /^(\d+) (\d+)\n/.exec(readOptional(join(folder, 'keeper'))) ?? [];
  return pid === undefined || since === undefined ? undefined : { pid: Number(pid), processStart: since };
}

/** It makes its file first and then writes into it. */
export async function awaitKeeper(folder: string): Promise<ProcessIdentity | undefined> {
  const deadline = performance.now() + keeperMs;
  for (;;) {
    const keeper = await readPatiently(() => readKeeper(folder));
    if (keeper !== undefined || performance.now() > deadline) return keeper;
    await pause(10);
  }
}

/** What a file holds; empty if it is not there. Throws Node's system errors (EMFILE). */
export function readOptional(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return '';
    throw error;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resume) => void setTimeout(resume, ms));
}
