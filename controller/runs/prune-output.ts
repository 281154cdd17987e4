import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';
import { record } from '../audit/audit.ts';
import type { Store } from '../store/store.ts';
import { loggedRuns, logFilesOf } from './log-files.ts';

/** How much of the output of runs that have ended is kept, of all of them together. */
export interface KeptRuns {
  readonly ageMs: number;
  readonly bytes: number;
}

export interface PruneDeps {
  readonly store: Store;
  readonly runsFolder: string;
  readonly isLive: (run: string) => boolean;
  readonly clock: () => number;
  readonly kept: KeptRuns;
}

/** A run's log on the disk. */
export interface SizedLog {
  readonly run: string;
  readonly bytes: number;
  /** Undefined of a run that may not be touched: it has not ended. */
  readonly finishedMs: number | undefined;
}

/** The logs to remove: those that ended too long ago, and more of the oldest while all are too large. Pure. */
export function logsToRemove(
  logs: readonly SizedLog[],
  { ageMs, bytes }: KeptRuns,
  nowMs: number,
): SizedLog[] {
  let left = sizeOfAll(logs);
  const ended = logs.filter(({ finishedMs }) => finishedMs !== undefined);
  const oldestFirst = ended.toSorted((a, b) => (a.finishedMs ?? 0) - (b.finishedMs ?? 0));
  return oldestFirst.filter((log) => {
    const goes = left > bytes || (log.finishedMs ?? 0) < nowMs - ageMs;
    if (goes) left -= log.bytes;
    return goes;
  });
}

/*
 * INVARIANT: output is removed only once the store says so: no run is shown without what it printed as though that were
 * all. What a killed controller did not get to remove goes with the next sweep.
 */

/**
 * Removes the output that is not kept any more, and records that. What else is known of the runs stays. Gives the bytes of
 * what is left.
 */
export async function pruneOutput(deps: PruneDeps, signal: AbortSignal): Promise<number> {
  const { store, runsFolder, clock, kept } = deps;
  const logs = await sizedLogs(deps, signal);
  const goes = logsToRemove(logs, kept, clock());
  if (goes.length > 0) await markRemoved(store, goes, clock());
  for (const { run } of goes) {
    signal.throwIfAborted();
    for (const path of logFilesOf(runsFolder, run)) await rm(path, { recursive: true, force: true });
  }
  return sizeOfAll(logs) - sizeOfAll(goes);
}

function sizeOfAll(logs: readonly SizedLog[]): number {
  return logs.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Those that are there; what the store says is removed is removed on the way. */
async function sizedLogs({ store, runsFolder, isLive }: PruneDeps, signal: AbortSignal): Promise<SizedLog[]> {
  const logs: SizedLog[] = [];
  for (const run of await loggedRuns(runsFolder)) {
    signal.throwIfAborted();
    const row = await store.db
      .selectFrom('runs')
      .select(['finished_at', 'output_removed_at'])
      .where('id', '=', run)
      .executeTakeFirst();
    const finishedMs = isLive(run) ? undefined : (row?.finished_at ?? undefined);
    const paths = logFilesOf(runsFolder, run);
    if (typeof row?.output_removed_at === 'number')
      for (const path of paths) await rm(path, { recursive: true, force: true });
    else
      logs.push({ run, finishedMs, bytes: (await Promise.all(paths.map(sizeOf))).reduce((a, b) => a + b) });
  }
  return logs;
}

/** Of a file, or of all in a folder; 0 for what is not there. */
async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) return found.size;
    const sizes = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name))));
    return sizes.reduce((a, b) => a + b, 0);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** SQLite takes some thousand values a statement. */
const runsAStatement = 500;

function markRemoved(store: Store, goes: readonly SizedLog[], nowMs: number): Promise<void> {
  const ids = goes.map(({ run }) => run);
  const bytes = sizeOfAll(goes);
  const newest = new Date(Math.max(...goes.map(({ finishedMs }) => finishedMs ?? 0))).toISOString();
  return store.write(async (transaction) => {
    for (let at = 0; at < ids.length; at += runsAStatement) {
      await transaction
        .updateTable('runs')
        .set({ output_removed_at: nowMs })
        .where('id', 'in', ids.slice(at, at + runsAStatement))
        .execute();
    }
    const actor = { name: 'controller', role: 'controller', certificate: '' };
    const detail = { runs: ids.length, bytes, finishedUpTo: newest };
    await record(transaction, nowMs, { type: 'runs.pruned', actor, detail });
  });
}
