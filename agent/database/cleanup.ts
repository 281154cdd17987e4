import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ActionContext, ActionEnd } from './action.ts';
import type { CleanupStep } from './database.ts';
import { describeFailure } from './disk-failure.ts';
import { listDumps, removeLeftovers } from './dump-folder.ts';

/**
 * Removes all but the newest dumps of a database. It looks again which there are: the pre hook may have moved some
 * away, and the newest that are left are the ones to keep.
 */
export async function cleanUpDumps(
  { database, folder, keep }: CleanupStep,
  context: ActionContext,
): Promise<ActionEnd> {
  const paths: string[] = [];
  try {
    await removeLeftovers(folder, database.name);
    const dumps = await listDumps(folder, database.name);
    for (const file of dumps.slice(keep)) {
      if (context.stop.cause !== undefined) return { exitCode: 1, paths };
      await rm(join(folder, file), { force: true });
      paths.push(join(folder, file));
      context.print(`removed ${join(folder, file)}`);
    }
    if (paths.length === 0) context.notice('nothing to remove');
    return { exitCode: 0, paths };
  } catch (error) {
    return { exitCode: 1, error: describeFailure(error, 'a dump cannot be removed'), paths };
  }
}
