import { Masker } from '../../common/redaction/masker.ts';
import { commandTraits } from '../../common/compose-command.ts';
import { KomposeError } from '../../common/errors.ts';
import { argumentSecrets } from '../../common/redaction/argument-secrets.ts';
import type { KeeperTools } from '../process/keeper.ts';
import { findStack } from '../stacks/discovery.ts';
import { lockOwner, type LockOwner } from './lock-tickets.ts';
import { acquireStackLock } from './stack-lock.ts';
import { maskError } from '../../common/redaction/mask-error.ts';
import { StepLost } from './kept-step.ts';
import { prepareTask, type PreparedTask, type TaskHost } from './prepare-task.ts';
import { shownArgv } from './shown-argv.ts';
import type { StopSignal } from './stop-signal.ts';
import type { TaskHandover } from './task-handover.ts';
import type { EventSink } from './task-recorder.ts';
import type { TaskSpec } from './task-spec.ts';
import type { TaskStdin } from './task-stdin.ts';
import { TaskSteps, type Ending } from './task-steps.ts';
import type { Told } from './told-events.ts';

export interface TaskRun {
  readonly spec: TaskSpec;
  readonly host: TaskHost;
  readonly workFolder: string;
  readonly sink: EventSink;
  readonly stop: StopSignal;
  /** Of the action, if it reads the client's. */
  readonly stdin: TaskStdin | undefined;
  /** Monotonic milliseconds; of a task that goes on without this process, the machine's. */
  readonly now: () => number;
  /** How long a fail hook has, if not a minute. */
  readonly failHookMs?: number;
  /** Of a task whose steps go on without this process. */
  readonly outliving?: Outliving | undefined;
}

/** What it takes to leave a task to the next process, and to go on with one of an earlier. */
export interface Outliving {
  readonly handover: TaskHandover;
  readonly tools: KeeperTools;
  /** The newest event's number in the task's log. */
  readonly count: () => number;
  /** What an earlier process told; undefined if there was none. */
  readonly told: Told | undefined;
}

/**
 * Runs a task from `task.started` to `task.finished`; the last event always comes, also after a bug, whose throw
 * follows it. Ends early, with every process gone, when `stop` fires.
 */
export async function runTask(run: TaskRun): Promise<void> {
  const queuedMs = run.now();
  const { handover, told } = run.outliving ?? {};
  const before = handover?.progress;
  const masker = new Masker([
    ...argumentSecrets(run.spec),
    ...(run.spec.secrets ?? []),
    ...(before?.secrets ?? []),
  ]);
  try {
    const refusal = told?.hasStarted === true ? undefined : refusalOf(run);
    if (refusal !== undefined) return await finish(run, queuedMs, refusal);
    const unlock = await takeTurn(run);
    const startedMs = before?.startedMs ?? run.now();
    const ending = await start(run, masker, startedMs).finally(unlock);
    await finish(run, startedMs, ending);
  } catch (unmasked) {
    const error = maskError(unmasked, masker);
    const state =
      unmasked instanceof StepLost
        ? { state: 'lost' as const, reason: error.message }
        : (run.stop.cause ?? { state: 'failed', reason: failureReason(error) });
    await finish(run, before?.startedMs ?? queuedMs, { ...state, actionDecided: false });
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
async function takeTurn({
  spec,
  host,
  sink,
  stop,
  outliving,
  workFolder,
}: TaskRun): Promise<() => Promise<void>> {
  const locks = commandTraits(spec.command, spec.args).locks && !spec.dryRun;
  if (!locks || (await findStack(host.root, spec.stack)) === undefined) return async () => undefined;
  const owner = lockOwner(spec, outliving === undefined ? undefined : workFolder);
  const tell = (ahead: LockOwner): void => {
    void sink({ type: 'task.queued', waitingFor: `run ${ahead.run} (${ahead.command} by ${ahead.user})` });
  };
  try {
    return await acquireStackLock(host.root, spec.stack, owner, tell, stop.signal, host.watchdog);
  } catch (error) {
    // What an earlier process began is to be ended, whoever has the lock by now.
    if (stop.cause !== undefined && outliving?.handover.progress !== undefined) return async () => undefined;
    throw error;
  }
}

async function start(run: TaskRun, masker: Masker, startedMs: number): Promise<Ending> {
  if (run.outliving?.told?.hasStarted !== true) await run.sink({ type: 'task.started' });
  const timer = startDeadline(run, startedMs);
  try {
    return await perform(run, masker, startedMs);
  } finally {
    clearTimeout(timer);
  }
}

function failureReason(error: unknown): string {
  const { code, message } = KomposeError.from(error);
  return code === 'internal' ? `internal error of the agent (${message}); its log tells more` : message;
}

/** A step that ended in time while there was no agent is taken for what it is. */
const shortestMs = 1000;

function startDeadline({ spec, stop, now }: TaskRun, startedMs: number): NodeJS.Timeout | undefined {
  if (spec.timeoutMs <= 0) return undefined;
  const spentMs = now() - startedMs;
  const leftMs = Math.max(Math.min(shortestMs, spec.timeoutMs), spec.timeoutMs - spentMs);
  const reason = `not done after ${spec.timeoutMs / 1000} s (--timeout)`;
  return setTimeout(() => stop.stop({ state: 'timed-out', reason }), Math.min(leftMs, 2 ** 31 - 1));
}

async function perform(run: TaskRun, masker: Masker, startedMs: number): Promise<Ending> {
  const { spec, host, sink, stop, outliving } = run;
  const prepared = outliving?.handover.progress?.prepared ?? (await prepareTask(spec, host, masker, stop));
  if ('skipped' in prepared) return { state: 'skipped', reason: prepared.skipped, actionDecided: false };
  if (outliving?.handover.progress === undefined) {
    const told = outliving?.told?.notices ?? 0;
    for (const text of prepared.notices.slice(told)) await sink({ type: 'notice', text });
  }
  if (spec.dryRun) return tellPlan(prepared, masker, sink);
  const steps = new TaskSteps(run, masker, prepared, startedMs);
  return steps.perform();
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
