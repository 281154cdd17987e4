import type { Logger } from 'pino';
import { Masker } from '../../common/redaction/masker.ts';
import { endUnfinished, type Unfinished } from '../database/unfinished.ts';
import { readComposeFile } from '../stacks/compose-file.ts';
import { findStack, type StackFolder } from '../stacks/discovery.ts';
import type { TaskHost } from './prepare-task.ts';
import { readTaskEnv, type GivenEnv } from './task-env.ts';

/**
 * Ends and undoes what a database command of a killed agent left behind; goes on beside the agent's work. What it
 * cannot reach (the password came with `-e` and is not `given`, the server is down) is left to the next import. Never rejects.
 */
export async function tidyDatabase(
  unfinished: Unfinished,
  task: string,
  host: Pick<TaskHost, 'root' | 'agentEnv'>,
  log: Logger,
  given: GivenEnv = { env: {} },
): Promise<void> {
  const about = { task, stack: unfinished.stack, database: unfinished.database.name };
  try {
    const stack = await findStack(host.root, unfinished.stack);
    const folder = stack?.path ?? host.root;
    const env = stack === undefined ? host.agentEnv : await envOf(stack, given, host);
    const isDone = await endUnfinished(unfinished, folder, env);
    if (isDone) log.info(about, 'what a killed database command left is gone');
    else
      log.warn(about, 'what a killed import left on its server could not be dropped: the next import will');
  } catch (error) {
    log.warn({ ...about, err: error }, 'what a killed database command left could not be looked for');
  }
}

async function envOf(
  stack: StackFolder,
  given: GivenEnv,
  host: Pick<TaskHost, 'root' | 'agentEnv'>,
): Promise<Record<string, string>> {
  const { projectName } = await readComposeFile(stack.path, stack.composeFile);
  return readTaskEnv(given, host, { ...stack, projectName }, new Masker());
}
