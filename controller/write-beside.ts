import { lstat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { KomposeError } from '../common/errors.ts';
import { databasePath } from './init.ts';
import { Store, type Write } from './store/store.ts';

const attempts = 5;

/**
 * A transaction on the database of the controller in `folder`, which may serve meanwhile: then the database lets one of
 * the two try again.
 */
export async function writeBeside<Result>(folder: string, write: Write<Result>): Promise<Result> {
  const store = await Store.open(databasePath(folder));
  try {
    return await tryWrite(store, write);
  } finally {
    await store.close();
  }
}

async function tryWrite<Result>(store: Store, write: Write<Result>, attempt = 1): Promise<Result> {
  try {
    return await store.write(write);
  } catch (error) {
    if (attempt >= attempts || !KomposeError.from(error).isRetryable) throw error;
    return tryWrite(store, write, attempt + 1);
  }
}

/**
 * Throws `denied` for anybody but the folder's owner. Not even root: files that it made beside the database would lock
 * the controller out of it.
 */
export async function requireOwner(folder: string): Promise<void> {
  const { uid } = await lstat(folder);
  if (uid === userInfo().uid) return;
  const message = `${folder} belongs to another user: do this as its owner, such as by sudo -u '#${uid}'`;
  throw new KomposeError('denied', message);
}
