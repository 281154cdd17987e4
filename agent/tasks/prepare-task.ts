import { KomposeError } from '../../common/errors.ts';
import { isDatabaseCommand } from '../../common/database-command.ts';
import { prepareDatabase, type DatabaseTask, type PreparedAction } from '../database/prepare-database.ts';
import { plan, type Plan } from '../plan/plan.ts';
import type { Masker } from '../../common/redaction/masker.ts';
import type { RuleSet } from '../../common/rules/rule-set.ts';
import type { ComposeFinder } from '../stacks/compose-tool.ts';
import { findStack, type StackFolder } from '../stacks/discovery.ts';
import { noHooks, type HooksFile, type HooksParser } from '../stacks/hooks-file.ts';
import type { ComposeFiles } from '../stacks/compose-file.ts';
import type { SentScripts } from './sent-scripts.ts';
import type { ProcessIdentity } from '../process/process-identity.ts';
import { StopSignal } from './stop-signal.ts';
import { readTaskEnv } from './task-env.ts';
import type { TaskSpec } from './task-spec.ts';

/** The host as tasks see it. */
export interface TaskHost {
  /** Absolute path of the stacks root. */
  readonly root: string;
  readonly name: string;
  /** The agent's own environment, already cut down to the allow-list. */
  readonly agentEnv: Readonly<Record<string, string>>;
  readonly hooksParser: HooksParser;
  readonly composeFiles: ComposeFiles;
  readonly compose: ComposeFinder;
  /** What this host lets be done, whoever asks; absent: everything. */
  readonly policy?: RuleSet;
  /** Of the controller that the audit goes to, if there is one. */
  readonly scripts?: SentScripts;
  /** What hooks get on top, so that a chained command knows where it stands. */
  readonly chainEnv?: (spec: TaskSpec) => Readonly<Record<string, string>>;
  /** Who ends what tasks began, should this process be killed. */
  readonly watchdog?: ProcessIdentity;
}

/** A task ready to run: everything decided, nothing done. */
export interface PreparedTask {
  readonly stack: StackFolder;
  readonly plan: Plan;
  /** Of every step and of compose. */
  readonly env: Readonly<Record<string, string>>;
  /** What hooks get on top. */
  readonly hookEnv: Readonly<Record<string, string>>;
  /** Words of a step's argv that are names, and shown whatever the secrets are. */
  readonly names: ReadonlySet<string>;
  /** Lines for the user, such as the hint to chmod. */
  readonly notices: readonly string[];
}

/** There is nothing to do on this stack, and that is no failure. */
export interface SkippedTask {
  readonly skipped: string;
}

/**
 * Reads what the plan depends on and plans; `masker` learns the secrets as they become known. Throws `failed` with the
 * task's reason, unmasked; starts nothing of the stack's.
 */
export async function prepareTask(
  spec: TaskSpec,
  host: TaskHost,
  masker: Masker,
  stop = new StopSignal(),
): Promise<PreparedTask | SkippedTask> {
  const stack = await findStack(host.root, spec.stack);
  if (stack === undefined)
    throw new KomposeError('failed', `there is no stack ${spec.stack} on this host any more`);
  const { services, projectName } = await host.composeFiles.read(stack.path, stack.composeFile);
  const [hooks, compose, env] = await Promise.all([
    stack.hasHooksFile ? host.hooksParser.read(stack.path) : noHooks,
    findCompose(spec, host.compose),
    readTaskEnv(spec, host, { ...stack, projectName }, masker),
  ]);
  if (hooks.kind === 'refused') throw new KomposeError('failed', hooks.problem);
  const database = await prepareAction(spec, { env, folder: stack.path, compose: compose.argv, stop });
  if (database === 'none') return { skipped: 'it has no database: neither DB_NAME nor a postgres service' };
  masker.add(database?.secrets ?? []);
  const action = database === undefined ? {} : { database: database.action };
  const planned = plan({ command: spec.command, args: spec.args, compose: compose.argv, hooks, ...action });
  return {
    stack,
    env,
    plan: planned,
    names: new Set([...compose.argv, spec.command, spec.stack, host.name, ...services]),
    hookEnv: { ...hookEnv(spec, host.name), ...host.chainEnv?.(spec) },
    notices: [
      ...(compose.problem === undefined ? [] : [compose.problem]),
      ...(planned.steps.some(({ kind }) => kind === 'hook') ? hints(hooks) : []),
      ...(database === undefined ? [] : [database.notice]),
    ],
  };
}

/** A plan of compose commands can be told without it, and what is missing with it. */
async function findCompose(
  { dryRun, command }: TaskSpec,
  finder: ComposeFinder,
): Promise<{ argv: readonly [string, ...string[]]; problem?: string }> {
  try {
    return await finder.find();
  } catch (error) {
    if (!dryRun || isDatabaseCommand(command)) throw error;
    return { argv: ['docker', 'compose'], problem: KomposeError.from(error).message };
  }
}

/** Undefined for a command that is docker compose's, `none` for a stack without a database. */
async function prepareAction(
  { command, args, task }: TaskSpec,
  where: Pick<DatabaseTask, 'env' | 'folder' | 'compose' | 'stop'>,
): Promise<PreparedAction | 'none' | undefined> {
  if (!isDatabaseCommand(command)) return undefined;
  return (await prepareDatabase({ ...where, command, args, task, now: new Date() })) ?? 'none';
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
