import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { record } from '../audit/audit.ts';
import { loadState } from '../config.ts';
import { databasePath } from '../init.ts';
import { Store } from '../store/store.ts';
import { readTar } from './tar.ts';

/**
 * Makes the controller's `folder`, which must not be there or be empty, of a backup (a file, or `-` for `stdin`). All of
 * it is read and the database checked before anything is put in place; a record tells of it. Throws `conflict`,
 * `not-found`, `failed`.
 */
export async function restoreController(
  folder: string,
  source: string,
  stdin: AsyncIterable<Uint8Array>,
): Promise<void> {
  await refuseTaken(folder);
  const beside = `${folder}.${randomBytes(6).toString('hex')}`;
  await mkdir(dirname(folder), { recursive: true, mode: 0o700 });
  await mkdir(beside, { mode: 0o700 });
  try {
    await unpack(source === '-' ? stdin : createReadStream(source), beside, source);
    await check(beside, source);
    await rename(beside, folder);
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

async function refuseTaken(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return;
    const message = `${folder} is not empty: move it away first (it is left as it is)`;
    throw new KomposeError('conflict', message, { cause: error });
  }
}

async function unpack(chunks: AsyncIterable<Uint8Array>, folder: string, source: string): Promise<void> {
  try {
    for await (const { name, content } of readTar(chunks)) {
      if (name !== basename(name) || name.startsWith('.')) throw new Error(`it holds a file ${name}`);
      const file = createWriteStream(join(folder, name), { mode: 0o600, flags: 'wx', flush: true });
      await pipeline(Readable.from(content), file);
    }
  } catch (error) {
    if (isSystemError(error, 'ENOENT'))
      throw new KomposeError('not-found', `there is no file ${source}`, { cause: error });
    const why = error instanceof Error ? error.message : String(error);
    throw new KomposeError('failed', `${source} cannot be restored: ${why}`, { cause: error });
  }
}

/** Throws for a state that is not whole. */
async function check(folder: string, source: string): Promise<void> {
  await loadState(folder).catch((error: unknown) => {
    throw new KomposeError('failed', `${source} is not a backup of a controller`, { cause: error });
  });
  const store = await Store.open(databasePath(folder));
  try {
    const actor = { name: 'controller', role: 'controller', certificate: '' };
    await store.write((transaction) =>
      record(transaction, Date.now(), { type: 'controller.restored', actor }),
    );
  } finally {
    await store.close();
  }
}
