import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { sql } from 'kysely';
import { KomposeError } from '../../common/errors.ts';
import { record } from '../audit/audit.ts';
import { loadState } from '../config.ts';
import { databasePath } from '../init.ts';
import { Store } from '../store/store.ts';
import { writeTar, type TarEntry } from './tar.ts';

/**
 * Writes one archive (0600) of the controller in `folder`, which may be serving meanwhile: its database as it is at one
 * moment, its keys and certificates, its configuration. The kept output of runs is not in it. `target` is a file, which
 * is there whole or not at all, or `-` for `stdout`. Throws `failed`.
 */
export async function backUpController(
  folder: string,
  target: string,
  stdout: NodeJS.WritableStream,
): Promise<void> {
  await loadState(folder);
  const copy = join(folder, `.backup.${randomBytes(6).toString('hex')}`);
  try {
    const small = await smallFiles(folder);
    await copyDatabase(folder, copy);
    await refuseChange(folder, small);
    const archive = writeTar([...small, await databaseEntry(folder, copy)], Date.now());
    if (target === '-') await pipeline(archive, stdout, { end: false });
    else await writeWhole(target, archive);
  } finally {
    await rm(copy, { force: true });
  }
}

/** With a record of it: also a backup tells who it was that one was made. */
async function copyDatabase(folder: string, copy: string): Promise<void> {
  const store = await Store.open(databasePath(folder));
  try {
    const actor = { name: 'controller', role: 'controller', certificate: '' };
    await store.write((transaction) =>
      record(transaction, Date.now(), { type: 'controller.backed-up', actor }),
    );
    await sql`vacuum into ${copy}`.execute(store.db);
  } finally {
    await store.close();
  }
}

interface SmallFile extends TarEntry {
  readonly content: readonly [Buffer];
}

/** Keys and configuration are few and small. */
async function smallFiles(folder: string): Promise<SmallFile[]> {
  const database = basename(databasePath(folder));
  const files = (await readdir(folder, { withFileTypes: true })).filter(
    (entry) => entry.isFile() && !entry.name.startsWith('.') && !entry.name.startsWith(database),
  );
  return Promise.all(
    files.map(async ({ name }): Promise<SmallFile> => {
      const content = await readFile(join(folder, name));
      return { name, size: content.length, content: [content] };
    }),
  );
}

/** The database tells which keys it goes with. */
async function refuseChange(folder: string, before: readonly SmallFile[]): Promise<void> {
  const now = await smallFiles(folder);
  const isSame = ({ name, content: [bytes] }: SmallFile): boolean =>
    before.some((each) => each.name === name && each.content[0].equals(bytes));
  if (now.length === before.length && now.every(isSame)) return;
  const message = 'keys or configuration of the controller were changed meanwhile: make the backup again';
  throw new KomposeError('conflict', message);
}

async function databaseEntry(folder: string, copy: string): Promise<TarEntry> {
  const { size } = await stat(copy);
  return { name: basename(databasePath(folder)), size, content: createReadStream(copy) };
}

async function writeWhole(target: string, archive: AsyncIterable<Uint8Array>): Promise<void> {
  const beside = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}`);
  try {
    await pipeline(
      Readable.from(archive),
      createWriteStream(beside, { mode: 0o600, flags: 'wx', flush: true }),
    );
    await rename(beside, target);
  } catch (error) {
    await rm(beside, { force: true });
    const why = error instanceof Error ? error.message : String(error);
    throw new KomposeError('failed', `the backup ${target} cannot be written: ${why}`, { cause: error });
  }
}
