import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import type { Masker } from '../../common/redaction/masker.ts';
import { secretValues } from '../../common/redaction/secret-name.ts';
import type { ComposeFacts } from '../stacks/compose-file.ts';
import type { StackFolder } from '../stacks/discovery.ts';
import { expandVariables } from '../stacks/env-expansion.ts';
import { layerEnv } from '../stacks/env-layers.ts';
import { normaliseProjectName } from '../stacks/project-name.ts';
import { rawSecrets } from '../stacks/raw-secrets.ts';
import type { TaskHost } from './prepare-task.ts';

/** What a request adds to the environment. */
export interface GivenEnv {
  /** Of -e. */
  readonly env: Readonly<Record<string, string>>;
  readonly network?: string | undefined;
}

/** With the name that its compose file gives it. */
type NamedStack = StackFolder & Pick<ComposeFacts, 'projectName'>;

/**
 * The environment of a task's steps and of compose. `masker` learns its secrets, as they become known: what an error
 * says of a `.env` file may be in the file's own words. Throws `failed`.
 */
export async function readTaskEnv(
  given: GivenEnv,
  host: Pick<TaskHost, 'root' | 'agentEnv'>,
  { projectName, ...stack }: NamedStack,
  masker: Masker,
): Promise<Record<string, string>> {
  const [rootEnvText, stackEnvText] = await Promise.all([
    readOptional(join(host.root, '.env')),
    stack.hasEnvFile ? readOptional(join(stack.path, '.env')) : undefined,
  ]);
  masker.add(secretValues(given.env)); // Wherever reading stops.
  try {
    const { env } = layerEnv({
      agentEnv: host.agentEnv,
      rootEnvText,
      rootEnvFile: join(host.root, '.env'),
      stackEnvText,
      stackEnvFile: join(stack.path, '.env'),
      network: given.network,
      cliEnv: given.env,
      learnSecret: (value) => masker.add([value]),
    });
    const named = projectName === undefined ? '' : expandName(projectName, stack, env);
    const project = env['COMPOSE_PROJECT_NAME'] || named || normaliseProjectName(stack.name);
    return { ...env, COMPOSE_PROJECT_NAME: project, SCRIPT_DIR: host.root, stack: stack.name };
  } catch (error) {
    masker.add([rootEnvText, stackEnvText].flatMap((text) => rawSecrets(text ?? '')));
    throw error;
  }
}

function expandName(name: string, stack: StackFolder, variables: Readonly<Record<string, string>>): string {
  const fail = (problem: string): never => {
    throw new KomposeError('failed', `name: in ${join(stack.path, stack.composeFile)}: ${problem}`);
  };
  return expandVariables(name, { lookup: (variable) => variables[variable], fail });
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw new KomposeError('failed', `${path} cannot be read: check its owner and mode`, { cause: error });
  }
}
