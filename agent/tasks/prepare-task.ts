import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { plan, type Plan } from '../plan/plan.ts';
import { readProjectName } from '../stacks/compose-file.ts';
import type { ComposeFinder } from '../stacks/compose-tool.ts';
import { findStack, type StackFolder } from '../stacks/discovery.ts';
import { expandVariables } from '../stacks/env-expansion.ts';
import { layerEnv } from '../stacks/env-layers.ts';
import type { HooksFile, HooksParser } from '../stacks/hooks-file.ts';
import { normaliseProjectName } from '../stacks/project-name.ts';
import type { TaskSpec } from './task-spec.ts';

/** The host as tasks see it. */
export interface TaskHost {
  /** Absolute path of the stacks root. */
  readonly root: string;
  readonly name: string;
  /** The agent's own environment, already cut down to the allow-list. */
  readonly agentEnv: Readonly<Record<string, string>>;
  readonly hooksParser: HooksParser;
  readonly compose: ComposeFinder;
}

/** A task ready to run: everything decided, nothing done. */
export interface PreparedTask {
  readonly stack: StackFolder;
  readonly plan: Plan;
  /** Of every step and of compose. */
  readonly env: Readonly<Record<string, string>>;
  /** What hooks get on top. */
  readonly hookEnv: Readonly<Record<string, string>>;
  /** Lines for the user, such as the hint to chmod. */
  readonly notices: readonly string[];
}

/** Reads what the plan depends on and plans. Throws `failed` with the task's reason; starts nothing of the stack's. */
export async function prepareTask(spec: TaskSpec, host: TaskHost): Promise<PreparedTask> {
  const stack = await findStack(host.root, spec.stack);
  if (stack === undefined)
    throw new KomposeError('failed', `there is no stack ${spec.stack} on this host any more`);
  const [hooks, compose, env] = await Promise.all([
    host.hooksParser.read(stack.path),
    host.compose.find(),
    readEnv(spec, host, stack),
  ]);
  if (hooks.kind === 'refused') throw new KomposeError('failed', hooks.problem);
  const planned = plan({ command: spec.command, args: spec.args, compose: compose.argv, hooks });
  return {
    stack,
    env,
    plan: planned,
    hookEnv: hookEnv(spec, host.name),
    notices: planned.steps.some(({ kind }) => kind === 'hook') ? hints(hooks) : [],
  };
}

async function readEnv(spec: TaskSpec, host: TaskHost, stack: StackFolder): Promise<Record<string, string>> {
  const [rootEnvText, stackEnvText, projectName] = await Promise.all([
    readOptional(join(host.root, '.env')),
    readOptional(join(stack.path, '.env')),
    readProjectName(stack.path, stack.composeFile),
  ]);
  const { env: variables } = layerEnv({
    agentEnv: host.agentEnv,
    rootEnvText,
    rootEnvFile: join(host.root, '.env'),
    stackEnvText,
    stackEnvFile: join(stack.path, '.env'),
    network: spec.network,
    cliEnv: spec.env,
  });
  const named = projectName === undefined ? '' : expandName(projectName, stack, variables);
  const project = variables['COMPOSE_PROJECT_NAME'] || named || normaliseProjectName(stack.name);
  return { ...variables, COMPOSE_PROJECT_NAME: project, SCRIPT_DIR: host.root, stack: stack.name };
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

function hookEnv(spec: TaskSpec, host: string): Record<string, string> {
  return {
    KOMPOSE_RUN_ID: spec.run,
    KOMPOSE_TASK_ID: spec.task,
    KOMPOSE_HOST: host,
    KOMPOSE_STACK: spec.stack,
    KOMPOSE_COMMAND: spec.command,
    KOMPOSE_USER: spec.user,
  };
}

function hints(hooks: HooksFile): string[] {
  if (hooks.kind !== 'parsed' || hooks.isExecutable) return [];
  return [`${hooks.path} is not executable; it runs all the same. To mend: chmod 750 ${hooks.path}`];
}
