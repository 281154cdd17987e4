import type { StepKind } from '../../common/task-event.ts';
import type { DatabaseAction, DatabaseStep } from '../database/database.ts';
import type { HooksFile, ParsedHooks } from '../stacks/hooks-file.ts';

/** All that planning looks at; plan() itself touches nothing. */
export interface PlanInput {
  readonly command: string;
  readonly args: readonly string[];
  /** How compose is called on this host. */
  readonly compose: readonly [string, ...string[]];
  readonly hooks: Exclude<HooksFile, { kind: 'refused' }>;
  /** Of a database command: what takes the place of docker compose. */
  readonly database?: DatabaseAction;
}

interface StepBase {
  readonly step: StepKind;
  /** What a user knows the step by. */
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
}

/** A function of hooks.sh; argv is the function and its arguments. */
export interface HookStep extends StepBase {
  readonly kind: 'hook';
  readonly hooks: ParsedHooks;
  /** Whether the function is there shows only when the file has been sourced. */
  readonly uncertain: boolean;
  /** Its arguments are paths of dumps: as planned, or as the action before it reports them. */
  readonly takesDumps?: true;
}

/** docker compose; argv is how it is called, the command, and its arguments. */
export interface ProgramStep extends StepBase {
  readonly kind: 'program';
  readonly command: string;
  /** How many words of argv call compose. */
  readonly composeWords: number;
}

export type Step = HookStep | ProgramStep | DatabaseStep;

/** What a task will do. */
export interface Plan {
  /** In order; each runs only if all before it succeeded. */
  readonly steps: readonly Step[];
  /** Runs last when one of them failed, timed out or was cancelled. */
  readonly failHook: HookStep | undefined;
}

/** The plan of a command: its action with its hooks around it. Pure. */
export function plan(input: PlanInput): Plan {
  const action = input.database?.step ?? composeStep(input);
  const [failHook] = hookStep('fail', input);
  return { steps: [...hookStep('pre', input), action, ...hookStep('post', input)], failHook };
}

function composeStep({ command, args, compose }: PlanInput): ProgramStep {
  return {
    kind: 'program',
    command,
    composeWords: compose.length,
    step: 'action',
    name: `docker compose ${command}`,
    argv: [...compose, command, ...args],
  };
}

/** `pre` and `db:export` give `hook_pre_db_export`. */
export function hookName(step: 'pre' | 'post' | 'fail', command: string): string {
  return `hook_${step}_${command.replaceAll(/[-:]/g, '_')}`;
}

function hookStep(step: 'pre' | 'post' | 'fail', input: PlanInput): HookStep[] {
  const { command, args, hooks, database } = input;
  if (hooks.kind === 'none') return [];
  const name = hookName(step, command);
  const mayBeDefined = hooks.mayDefineMore || hooks.functions.includes(name);
  if (!mayBeDefined) return [];
  const hook = { kind: 'hook', step, name, hooks, uncertain: !hooks.certain.includes(name) } as const;
  if (database === undefined) return [{ ...hook, argv: [name, command, ...args] }];
  return [{ ...hook, argv: [name, ...database.hookArguments[step]], takesDumps: true }];
}
