import type { StepKind } from '../../common/task-event.ts';
import type { HooksFile, ParsedHooks } from '../stacks/hooks-file.ts';

/** All that planning looks at; plan() itself touches nothing. */
export interface PlanInput {
  readonly command: string;
  readonly args: readonly string[];
  /** How compose is called on this host. */
  readonly compose: readonly [string, ...string[]];
  readonly hooks: Exclude<HooksFile, { kind: 'refused' }>;
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
}

/** A program; argv is what is executed. */
export interface ProgramStep extends StepBase {
  readonly kind: 'program';
}

export type Step = HookStep | ProgramStep;

/** What a task will do. */
export interface Plan {
  /** In order; each runs only if all before it succeeded. */
  readonly steps: readonly Step[];
  /** Runs last when one of them failed, timed out or was cancelled. */
  readonly failHook: HookStep | undefined;
}

/** The plan of a compose command. Pure. */
export function plan(input: PlanInput): Plan {
  const { command, args, compose } = input;
  const action: ProgramStep = {
    kind: 'program',
    step: 'action',
    name: `docker compose ${command}`,
    argv: [...compose, command, ...args],
  };
  const [failHook] = hookStep('fail', input);
  return { steps: [...hookStep('pre', input), action, ...hookStep('post', input)], failHook };
}

/** `pre` and `db:export` give `hook_pre_db_export`. */
export function hookName(step: 'pre' | 'post' | 'fail', command: string): string {
  return `hook_${step}_${command.replaceAll(/[-:]/g, '_')}`;
}

function hookStep(step: 'pre' | 'post' | 'fail', { command, args, hooks }: PlanInput): HookStep[] {
  if (hooks.kind === 'none') return [];
  const name = hookName(step, command);
  const isDefined = hooks.functions.includes(name);
  if (!isDefined && !hooks.mayDefineMore) return [];
  return [{ kind: 'hook', step, name, argv: [name, command, ...args], hooks, uncertain: !isDefined }];
}
