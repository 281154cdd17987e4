import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { Masker } from '../../common/redaction/masker.ts';
import { workOfCommand } from '../containers/work-of-command.ts';
import { readUnfinished } from '../database/unfinished.ts';
import { readComposeFile } from '../stacks/compose-file.ts';
import { findStack } from '../stacks/discovery.ts';
import { endStepsOf, terminationGraceMs } from '../tasks/execute.ts';
import type { TaskHost } from '../tasks/prepare-task.ts';
import { removeScratchFolders } from '../tasks/scratch-folder.ts';
import { dropTicket } from '../tasks/stack-lock.ts';
import { readTaskEnv, type GivenEnv } from '../tasks/task-env.ts';
import { tidyDatabase } from '../tasks/tidy-database.ts';

/** What the watchdog of an embedded run is told of it. Pure data. */
export interface WatchedRun extends GivenEnv {
  /** The stacks root. */
  readonly root: string;
  /** Holds the work folder of each task, by its id. */
  readonly folder: string;
  readonly command: string;
  readonly tasks: readonly { readonly task: string; readonly stack: string }[];
}

/**
 * Ends every process of an embedded run that was killed, on this host and in containers, undoes what its database
 * command left, removes its folders, and gives its locks back. `agentEnv` is the environment that the run was called in.
 */
export async function endLeftBehind(
  run: WatchedRun,
  agentEnv: TaskHost['agentEnv'],
  log: Logger,
): Promise<void> {
  const begun = new Set(await readdir(run.folder).catch(() => []));
  const host = { root: run.root, agentEnv };
  const tasks = run.tasks.filter(({ task }) => begun.has(task));
  await Promise.all(
    tasks.map(async ({ task, stack }) => {
      const unfinished = await readUnfinished(join(run.folder, task));
      // It lets a swap come to its end, so nothing is signalled before.
      if (unfinished !== undefined) await tidyDatabase(unfinished, task, host, log, run);
      await Promise.all([endStepsOf(task), endInContainers(run, { task, stack }, host)]);
      await removeScratchFolders(task, join(run.folder, task));
      await dropTicket(run.root, stack, task);
    }),
  );
  await rm(run.folder, { recursive: true, force: true });
}

async function endInContainers(
  run: WatchedRun,
  { task, stack }: { task: string; stack: string },
  host: Pick<TaskHost, 'root' | 'agentEnv'>,
): Promise<void> {
  const folder = await findStack(host.root, stack);
  if (folder === undefined) return;
  const { projectName } = await readComposeFile(folder.path, folder.composeFile);
  const env = await readTaskEnv(run, host, { ...folder, projectName }, new Masker());
  await workOfCommand(run.command, { task, env, cwd: folder.path })?.end(terminationGraceMs);
}
