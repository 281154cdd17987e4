import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { exists } from './exists.ts';
import { identify } from './process-identity.ts';

/** Where the rig keeps what is made once per machine: Compose's plugin files and image archives. Nothing else. */
export const cacheFolder =
  process.getuid?.() === 0 ? '/var/cache/kompose-rig' : join(homedir(), '.cache', 'kompose-rig');

/**
 * Gives the path of `entry` (relative to the cache folder), calling `make` with a scratch path to fill (a file
 * or a folder, as the maker likes) when it is not there yet. It appears by a rename: never half made, and two
 * makers at once do no harm.
 */
export async function cached(entry: string, make: (scratch: string) => Promise<void>): Promise<string> {
  const path = join(cacheFolder, entry);
  if (await exists(path)) return path;
  await mkdir(dirname(path), { recursive: true });
  await removeWorkshopsOfTheDead();
  const workshop = await mkdtemp(join(cacheFolder, `making-${process.pid}-`));
  try {
    const scratch = join(workshop, 'entry');
    await make(scratch);
    await rename(scratch, path).catch(async (error: unknown) => {
      if (!(await exists(path))) throw error;
    });
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
  return path;
}

/** What a maker left that was killed. A pid used again only delays it. */
async function removeWorkshopsOfTheDead(): Promise<void> {
  const workshops = (await readdir(cacheFolder)).filter((name) => name.startsWith('making-'));
  const dead = workshops.filter((name) => identify(Number(name.split('-')[1])) === undefined);
  await Promise.all(dead.map((name) => rm(join(cacheFolder, name), { recursive: true, force: true })));
}
