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

/** The steps of a compose command, in order: each runs only if all before it succeeded. Pure. */
export function plan(input: PlanInput): Step[] {
  const { command, args, compose } = input;
  const action: ProgramStep = {
    kind: 'program',
    step: 'action',
    name: `docker compose ${command}`,
    argv: [...compose, command, ...args],
  };
  return [...hookStep('pre', input), action, ...hookStep('post', input)];
}

/** `pre` and `db:export` give `hook_pre_db_export`. */
export function hookName(step: 'pre' | 'post' | 'fail', command: string): string {
  return `hook_${step}_${command.replaceAll(/[-:]/g, '_')}`;
}

function hookStep(step: 'pre' | 'post', { command, args, hooks }: PlanInput): HookStep[] {
  if (hooks.kind === 'none') return [];
  const name = hookName(step, command);
  const isDefined = hooks.functions.includes(name);
  if (!isDefined && !hooks.mayDefineMore) return [];
  return [{ kind: 'hook', step, name, argv: [name, command, ...args], hooks, uncertain: !isDefined }];
}
