import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { isDatabaseCommand } from '../../common/database-command.ts';
import { secretValues } from '../../common/redaction/secret-name.ts';
import { prepareDatabase, type DatabaseTask, type PreparedAction } from '../database/prepare-database.ts';
import { plan, type Plan } from '../plan/plan.ts';
import { Masker } from '../../common/redaction/masker.ts';
import { rawSecrets } from '../stacks/raw-secrets.ts';
import { readProjectName } from '../stacks/compose-file.ts';
import type { ComposeFinder } from '../stacks/compose-tool.ts';
import { findStack, type StackFolder } from '../stacks/discovery.ts';
import { expandVariables } from '../stacks/env-expansion.ts';
import { layerEnv } from '../stacks/env-layers.ts';
import type { HooksFile, HooksParser } from '../stacks/hooks-file.ts';
import { normaliseProjectName } from '../stacks/project-name.ts';
import type { ChainWaits } from './chain-waits.ts';
import { StopSignal } from './stop-signal.ts';
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
  /** Which chain of runs waits for which. */
  readonly waits: ChainWaits;
  /** What hooks get on top, so that a chained command knows where it stands. */
  readonly chainEnv?: (spec: TaskSpec) => Readonly<Record<string, string>>;
}

/** A task ready to run: everything decided, nothing done. */
export interface PreparedTask {
  readonly stack: StackFolder;
  readonly plan: Plan;
  /** Of every step and of compose. */
  readonly env: Readonly<Record<string, string>>;
  /** What hooks get on top. */
  readonly hookEnv: Readonly<Record<string, string>>;
  /** Values that no output may show. */
  readonly secrets: readonly string[];
  /** Lines for the user, such as the hint to chmod. */
  readonly notices: readonly string[];
}

/** There is nothing to do on this stack, and that is no failure. */
export interface SkippedTask {
  readonly skipped: string;
}

/** Reads what the plan depends on and plans. Throws `failed` with the task's reason; starts nothing of the stack's. */
export async function prepareTask(
  spec: TaskSpec,
  host: TaskHost,
  stop = new StopSignal(),
): Promise<PreparedTask | SkippedTask> {
  const stack = await findStack(host.root, spec.stack);
  if (stack === undefined)
    throw new KomposeError('failed', `there is no stack ${spec.stack} on this host any more`);
  const [hooks, compose, env] = await Promise.all([
    host.hooksParser.read(stack.path),
    host.compose.find(),
    readEnv(spec, host, stack),
  ]);
  if (hooks.kind === 'refused') throw new KomposeError('failed', hooks.problem);
  const database = await prepareAction(spec, { env, folder: stack.path, compose: compose.argv, stop });
  if (database === 'none') return { skipped: 'it has no database: neither DB_NAME nor a postgres service' };
  const action = database === undefined ? {} : { database: database.action };
  const planned = plan({ command: spec.command, args: spec.args, compose: compose.argv, hooks, ...action });
  return {
    stack,
    env,
    plan: planned,
    secrets: [...secretValues(env), ...(database?.secrets ?? [])],
    hookEnv: { ...hookEnv(spec, host.name), ...host.chainEnv?.(spec) },
    notices: [
      ...(planned.steps.some(({ kind }) => kind === 'hook') ? hints(hooks) : []),
      ...(database === undefined ? [] : [database.notice]),
    ],
  };
}

/** Undefined for a command that is docker compose's, `none` for a stack without a database. */
async function prepareAction(
  { command, args, task }: TaskSpec,
  where: Pick<DatabaseTask, 'env' | 'folder' | 'compose' | 'stop'>,
): Promise<PreparedAction | 'none' | undefined> {
  if (!isDatabaseCommand(command)) return undefined;
  return (await prepareDatabase({ ...where, command, args, task, now: new Date() })) ?? 'none';
}

async function readEnv(spec: TaskSpec, host: TaskHost, stack: StackFolder): Promise<Record<string, string>> {
  const [rootEnvText, stackEnvText, projectName] = await Promise.all([
    readOptional(join(host.root, '.env')),
    readOptional(join(stack.path, '.env')),
    readProjectName(stack.path, stack.composeFile),
  ]);
  const secrets = [rootEnvText, stackEnvText].flatMap((text) => rawSecrets(text ?? ''));
  try {
    const { env: variables } = layerEnv({
      agentEnv: host.agentEnv,
      rootEnvText,
      rootEnvFile: join(host.root, '.env'),
      stackEnvText,
      stackEnvFile: join(stack.path, '.env'),
      network: spec.network,
      cliEnv: spec.env,
    });
    secrets.push(...secretValues(variables));
    const named = projectName === undefined ? '' : expandName(projectName, stack, variables);
    const project = variables['COMPOSE_PROJECT_NAME'] || named || normaliseProjectName(stack.name);
    return { ...variables, COMPOSE_PROJECT_NAME: project, SCRIPT_DIR: host.root, stack: stack.name };
  } catch (error) {
    // What is wrong with a file may be told in the file's own words (`${VAR:?why}`).
    const { code, message } = KomposeError.from(error);
    const masker = new Masker([...secrets, ...secretValues(spec.env)]);
    throw new KomposeError(code, masker.maskText(message), { cause: error });
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
