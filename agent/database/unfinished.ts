import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';
import { awaitMarked, terminateMarked } from '../process/marked-processes.ts';
import { StopSignal } from '../tasks/stop-signal.ts';
import type { ActionContext } from './action.ts';
import type { Database, ImportStep } from './database.ts';
import type { Variables } from './find-database.ts';
import { endInside } from './run-tool.ts';
import { ScriptRunner } from './script-runner.ts';

/*
 * What an export or import would leave behind if this process were killed in the middle of it stands in a note in the
 * task's folder while it works, so that the next process of the agent can end and undo it. No secret is in a note: the
 * passwords are read again from where they come from.
 */

/** Pure data: it goes to a file. */
export interface Unfinished {
  /** Name of the stack. */
  readonly stack: string;
  readonly project: string;
  readonly database: Database;
  /** Of the task's processes and sessions. */
  readonly mark: string;
  /** The file that is being written, and the name that it will have. */
  readonly partial?: string;
  readonly path?: string;
  /** The database that is being filled. */
  readonly scratch?: string;
  /** The old database may be closed to new sessions: the swap has begun, and ends by itself. */
  readonly isSwapping?: true;
}

/** How long a swap may go on without its agent. */
const swapLimitMs = 60_000;
const terminationGraceMs = 10_000;

/** Keeps the note, in place of an earlier one. */
export async function noteUnfinished(
  what: Pick<ImportStep, 'database' | 'mark'> &
    Pick<Unfinished, 'partial' | 'path' | 'scratch' | 'isSwapping'>,
  { env, workFolder }: Pick<ActionContext, 'env' | 'workFolder'>,
): Promise<void> {
  const { database, mark, partial, path, scratch, isSwapping } = what;
  const { at } = database;
  const note: Unfinished = {
    stack: env['stack'] ?? '',
    project: env['COMPOSE_PROJECT_NAME'] ?? '',
    database: at.kind === 'host' ? database : { ...database, at: { ...at, password: undefined } },
    mark,
    ...(partial === undefined ? {} : { partial }),
    ...(path === undefined ? {} : { path }),
    ...(scratch === undefined ? {} : { scratch }),
    ...(isSwapping === undefined ? {} : { isSwapping }),
  };
  await writeFile(noteIn(workFolder), JSON.stringify(note), { mode: 0o600, flush: true });
}

/** For an action that has ended: nothing of it is left to be undone. */
export async function forgetUnfinished({ workFolder }: Pick<ActionContext, 'workFolder'>): Promise<void> {
  await rm(noteIn(workFolder), { force: true });
}

/** Undefined where there is no note, or only the beginning of one. */
export async function readUnfinished(workFolder: string): Promise<Unfinished | undefined> {
  try {
    return JSON.parse(await readFile(noteIn(workFolder), 'utf8')) as Unfinished;
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const noteIn = (workFolder: string): string => join(workFolder, 'database.json');

/**
 * Ends what the tools of a killed process still do, here and in the container, removes the partial dump and drops the
 * scratch database. `env` is the stack's. Says whether nothing is left; the next import drops what could not be.
 */
export async function endUnfinished(
  unfinished: Unfinished,
  folder: string,
  env: Variables,
): Promise<boolean> {
  const { database, mark, partial, scratch, isSwapping } = unfinished;
  const context: ActionContext = {
    folder,
    workFolder: folder,
    env: { ...env, COMPOSE_PROJECT_NAME: unfinished.project },
    keep: undefined,
    startedMs: 0,
    stop: new StopSignal(),
    now: () => performance.now(),
    write: () => undefined,
    print: () => undefined,
    notice: () => undefined,
    mask: (text) => text,
  };
  const variable = `PGAPPNAME=${mark}`;
  if (isSwapping === true) await awaitMarked(variable, swapLimitMs);
  await terminateMarked(variable, terminationGraceMs);
  await endInside(database, mark, context.env, context);
  if (partial !== undefined) await rm(partial, { force: true });
  if (scratch === undefined) return true;
  const scripts = new ScriptRunner({ database, mark, scratch }, context);
  if ((await scripts.begin('')).printed === '') return false;
  return (await scripts.undo(isSwapping === true)) !== 'left';
}
