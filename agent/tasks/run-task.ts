import { Masker } from '../../common/redaction/masker.ts';
import { commandTraits } from '../../common/compose-command.ts';
import { KomposeError } from '../../common/errors.ts';
import { argumentSecrets } from '../../common/redaction/argument-secrets.ts';
import type { HookStep, Step } from '../plan/plan.ts';
import { findStack } from '../stacks/discovery.ts';
import type { LockOwner } from './lock-tickets.ts';
import { acquireStackLock } from './stack-lock.ts';
import { maskError } from '../../common/redaction/mask-error.ts';
import type { TaskFinished } from '../../common/task-event.ts';
import { prepareTask, type PreparedTask, type TaskHost } from './prepare-task.ts';
import { runStep, shownArgv, type StepContext, type StepResult } from './step-runner.ts';
import { StopSignal } from './stop-signal.ts';
import type { EventSink } from './task-recorder.ts';
import type { TaskSpec } from './task-spec.ts';
import type { TaskStdin } from './task-stdin.ts';

export interface TaskRun {
  readonly spec: TaskSpec;
  readonly host: TaskHost;
  readonly workFolder: string;
  readonly sink: EventSink;
  readonly stop: StopSignal;
  /** Of the action, if it reads the client's. */
  readonly stdin: TaskStdin | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** How long a fail hook has, if not a minute. */
  readonly failHookMs?: number;
}

type Ending = Omit<TaskFinished, 'type' | 'durationMs'>;

/**
 * Runs a task from `task.started` to `task.finished`; the last event always comes, also after a bug, whose throw
 * follows it. Ends early, with every process gone, when `stop` fires.
 */
export async function runTask(run: TaskRun): Promise<void> {
  const queuedMs = run.now();
  const masker = new Masker([...argumentSecrets(run.spec), ...(run.spec.secrets ?? [])]);
  try {
    const refusal = refusalOf(run);
    if (refusal !== undefined) return await finish(run, queuedMs, refusal);
    const unlock = await takeTurn(run);
    const startedMs = run.now();
    const ending = await start(run, masker).finally(unlock);
    await finish(run, startedMs, ending);
  } catch (unmasked) {
    const error = maskError(unmasked, masker);
    const state = run.stop.cause ?? { state: 'failed', reason: failureReason(error) };
    await finish(run, queuedMs, { ...state, actionDecided: false });
    if (!(error instanceof KomposeError) && run.stop.cause === undefined) throw error;
  }
}

/** What this host's own policy refuses does not even wait for its turn. */
function refusalOf({ spec, host }: TaskRun): Ending | undefined {
  const request = { command: spec.command, args: spec.args, envNames: Object.keys(spec.env).toSorted() };
  const target = { host: host.name, stack: spec.stack, labels: {} };
  const decision = host.policy?.decide(request, target) ?? { isAllowed: true, reason: '' };
  if (decision.isAllowed) return undefined;
  const reason = `the policy of host ${host.name} does not allow ${decision.reason}`;
  return { state: 'denied', reason, actionDecided: false };
}

function finish(run: TaskRun, sinceMs: number, ending: Ending): void | Promise<void> {
  return run.sink({ type: 'task.finished', ...ending, durationMs: Math.round(run.now() - sinceMs) });
}

/** Waits until no earlier command changes the stack; the result lets the next one go on. */
async function takeTurn({ spec, host, sink, stop }: TaskRun): Promise<() => Promise<void>> {
  const locks = commandTraits(spec.command, spec.args).locks && !spec.dryRun;
  if (!locks || (await findStack(host.root, spec.stack)) === undefined) return async () => undefined;
  const { run, task, command, user, stack } = spec;
  const owner = { run, task, command, user, chain: spec.chain?.root ?? run };
  const tell = (ahead: LockOwner): void => {
    void sink({ type: 'task.queued', waitingFor: `run ${ahead.run} (${ahead.command} by ${ahead.user})` });
  };
  return acquireStackLock(host.root, stack, owner, tell, stop.signal, host.watchdog);
}

async function start(run: TaskRun, masker: Masker): Promise<Ending> {
  await run.sink({ type: 'task.started' });
  const timer = startDeadline(run);
  try {
    return await perform(run, masker);
  } finally {
    clearTimeout(timer);
  }
}

function failureReason(error: unknown): string {
  const { code, message } = KomposeError.from(error);
  return code === 'internal' ? `internal error of the agent (${message}); its log tells more` : message;
}

function startDeadline({ spec, stop }: TaskRun): NodeJS.Timeout | undefined {
  if (spec.timeoutMs <= 0) return undefined;
  const reason = `not done after ${spec.timeoutMs / 1000} s (--timeout)`;
  return setTimeout(() => stop.stop({ state: 'timed-out', reason }), Math.min(spec.timeoutMs, 2 ** 31 - 1));
}

async function perform(run: TaskRun, masker: Masker): Promise<Ending> {
  const { spec, host, sink, stop } = run;
  const prepared = await prepareTask(spec, host, masker, stop);
  if ('skipped' in prepared) return { state: 'skipped', reason: prepared.skipped, actionDecided: false };
  for (const text of prepared.notices) await sink({ type: 'notice', text });
  if (spec.dryRun) return tellPlan(prepared, masker, sink);
  const context: StepContext = {
    prepared,
    masker,
    sink,
    stop,
    workFolder: run.workFolder,
    now: run.now,
    stdin: run.stdin,
    scripts: host.scripts,
    isRaw: spec.raw === true,
  };
  let env = prepared.env;
  let last: StepResult | undefined;
  let action: StepResult | undefined;
  for (const step of prepared.plan.steps) {
    if (stop.cause !== undefined) break;
    last = await runStep(withPaths(step, action), env, context);
    env = last.env;
    if (last.step === 'action') action = last;
    if (last.outcome !== 'succeeded') break;
  }
  const ending = last === undefined || last.outcome === 'succeeded' ? endOfAll(stop) : endingOf(last, stop);
  const { failHook } = prepared.plan;
  if (ending.state !== 'succeeded' && last !== undefined && failHook !== undefined)
    await runFailHook(withPaths(failHook, action), env, { failed: last, limitMs: run.failHookMs }, context);
  return { ...ending, ...(action?.dump === undefined ? {} : { dump: action.dump }) };
}

/** A hook after an action on dumps gets the paths that the action reports, where it does. */
function withPaths<AnyStep extends Step>(step: AnyStep, action: StepResult | undefined): AnyStep {
  if (step.kind !== 'hook' || step.takesDumps !== true || action?.paths === undefined) return step;
  return { ...step, argv: [step.name, ...action.paths] };
}

function endOfAll({ cause }: StopSignal): Ending {
  if (cause !== undefined) return { ...cause, actionDecided: false };
  return { state: 'succeeded', exitCode: 0, reason: '', actionDecided: true };
}

/** How long a fail hook has: its task's own deadline or cancel is what brought it about. */
const defaultFailHookMs = 60_000;

/** Its own result is told and changes nothing. */
async function runFailHook(
  hook: HookStep,
  env: Readonly<Record<string, string>>,
  { failed, limitMs = defaultFailHookMs }: { failed: StepResult; limitMs: number | undefined },
  context: StepContext,
): Promise<void> {
  const { prepared } = context;
  const stop = new StopSignal();
  const reason = `not done after ${limitMs / 1000} s`;
  const timer = setTimeout(() => stop.stop({ state: 'timed-out', reason }), limitMs);
  const why = { KOMPOSE_FAILED_STEP: failed.step, KOMPOSE_EXIT_CODE: String(failed.exitCode) };
  const hookEnv = { ...prepared.hookEnv, ...why };
  await runStep(hook, env, { ...context, stop, prepared: { ...prepared, hookEnv } });
  clearTimeout(timer);
}

function endingOf({ step, name, outcome, exitCode, error, left }: StepResult, stop: StopSignal): Ending {
  if (stop.cause !== undefined) {
    return {
      state: stop.cause.state,
      reason: `${stop.cause.reason}, during ${name}${left === undefined ? '' : `; ${left}`}`,
      exitCode,
      actionDecided: false,
    };
  }
  const reason = error ?? `${name} ended with exit code ${exitCode}`;
  return { state: outcome, exitCode, reason, actionDecided: step === 'action' };
}

async function tellPlan(prepared: PreparedTask, masker: Masker, sink: EventSink): Promise<Ending> {
  const { stack, env, hookEnv, plan } = prepared;
  for (const step of [...plan.steps, ...(plan.failHook === undefined ? [] : [plan.failHook])]) {
    const names = step.kind === 'hook' ? { ...env, ...hookEnv, KOMPOSE_HOOK: '' } : env;
    await sink({
      type: 'plan.step',
      step: step.step,
      name: step.name,
      argv: shownArgv(step, prepared.names, masker),
      cwd: stack.path,
      envNames: Object.keys(names).toSorted(),
      uncertain: step.kind === 'hook' && step.uncertain,
    });
  }
  return { state: 'succeeded', reason: '', actionDecided: false };
}
