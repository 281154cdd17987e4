import { KomposeError } from '../../common/errors.ts';
import type { Masker } from '../../common/redaction/masker.ts';
import type { StepKind, TaskFinished } from '../../common/task-event.ts';
import type { HookStep, Step } from '../plan/plan.ts';
import { discardKept, forestall } from '../process/keeper-folder.ts';
import { KeptStep, notedEnd, StepLost } from './kept-step.ts';
import type { PreparedTask } from './prepare-task.ts';
import type { TaskRun } from './run-task.ts';
import { makeScratchFolder } from './scratch-folder.ts';
import { runStep, type StepContext, type StepResult } from './step-runner.ts';
import { StopSignal } from './stop-signal.ts';
import type { DoneStep, TaskProgress } from './task-handover.ts';

export type Ending = Omit<TaskFinished, 'type' | 'durationMs'>;

/** How long a fail hook has: its task's own deadline or cancel is what brought it about. */
const defaultFailHookMs = 60_000;

/*
 * Goes through the steps of a task that is prepared, from the first, or from where an earlier process was.
 *
 * INVARIANTS
 * - A task that goes on without its agent has its progress journaled before a step begins; what an earlier process
 *   began is taken over, and begun by this one only if nobody else did.
 * - The folder of a step is there until the progress after it is journaled.
 */
export class TaskSteps {
  readonly #run: TaskRun;
  readonly #context: StepContext;
  readonly #prepared: PreparedTask;
  readonly #startedMs: number;
  readonly #resumed: TaskProgress | undefined;
  #env: Readonly<Record<string, string>>;
  #last: DoneStep | undefined;
  #action: DoneStep | undefined;
  #ending: Ending | undefined;
  #folder: string | undefined;
  /** Of steps that are done. */
  #discarded: Promise<unknown> = Promise.resolve();

  constructor(run: TaskRun, masker: Masker, prepared: PreparedTask, startedMs: number) {
    const { spec, host, sink, stop, stdin, now, workFolder, outliving } = run;
    const { scripts } = host;
    const isRaw = spec.raw === true;
    this.#run = run;
    this.#context = { prepared, masker, sink, stop, workFolder, now, stdin, scripts, isRaw };
    this.#prepared = prepared;
    this.#startedMs = startedMs;
    this.#resumed = outliving?.handover.progress;
    this.#env = this.#resumed?.env ?? prepared.env;
    this.#last = this.#resumed?.last;
    this.#action = this.#resumed?.action;
    this.#ending = this.#resumed?.ending;
    this.#folder = this.#resumed?.folder;
  }

  /** To the end of all, with no process left. Throws `StepLost`. */
  async perform(): Promise<Ending> {
    const { steps, failHook } = this.#prepared.plan;
    for (const [at, step] of steps.entries()) {
      if (at < (this.#resumed?.at ?? 0)) continue;
      const isDone = this.#last !== undefined && this.#last.outcome !== 'succeeded';
      if (isDone || (this.#run.stop.cause !== undefined && !this.#isUnderWay(at))) break;
      await this.#perform(at, this.#withPaths(step), this.#context);
    }
    this.#ending ??= this.#endingSoFar();
    if (this.#ending.state !== 'succeeded' && this.#last !== undefined && failHook !== undefined)
      await this.#runFailHook(this.#withPaths(failHook), this.#last);
    await this.#discarded;
    const dump = this.#action?.dump;
    return { ...this.#ending, ...(dump === undefined ? {} : { dump }) };
  }

  async #perform(at: number, step: Step, context: StepContext): Promise<StepResult> {
    const { keep, startedMs } = await this.#begin(at, step.step);
    this.#refuseUnknown(step, keep);
    const { env, ...done } = await runStep({ step, env: this.#env, startedMs, keep }, context);
    if (step.step === 'fail') return { env, ...done };
    this.#env = env;
    this.#last = done;
    if (step.step === 'action') this.#action = done;
    return { env, ...done };
  }

  /** An earlier process told of its beginning, or began it. */
  #isUnderWay(at: number): boolean {
    const resumed = this.#resumed;
    const kind = this.#prepared.plan.steps[at]?.step;
    if (resumed?.at !== at || kind === undefined) return false;
    return this.#told(kind)?.hasBegun === true || !forestall(resumed.folder);
  }

  #told(kind: StepKind) {
    return this.#run.outliving?.told?.steps.get(kind);
  }

  async #begin(at: number, kind: StepKind): Promise<{ keep: KeptStep | undefined; startedMs: number }> {
    const { outliving, spec, workFolder, now } = this.#run;
    if (outliving === undefined) return { keep: undefined, startedMs: now() };
    const { tools, handover, count } = outliving;
    const told = this.#told(kind);
    const resumed = this.#resumed?.at === at ? this.#resumed : undefined;
    if (resumed !== undefined && (notedEnd(resumed.folder) !== undefined || !forestall(resumed.folder))) {
      const { folder, stepStartedMs: startedMs } = resumed;
      return { keep: new KeptStep({ tools, folder, told, count }, true), startedMs };
    }
    const folder = makeScratchFolder(spec.task, workFolder);
    const startedMs = resumed?.stepStartedMs ?? now();
    const before = this.#folder;
    let keep: KeptStep;
    try {
      handover.keep(this.#progress(at, folder, startedMs));
      keep = new KeptStep({ tools, folder, told, count }, false);
    } catch (error) {
      await discardKept(folder);
      throw new KomposeError('failed', `${folder} cannot be written: the step was not begun`, {
        cause: error,
      });
    }
    this.#folder = folder;
    if (before !== undefined) this.#discard(before);
    return { keep, startedMs };
  }

  /** The step that begins now does not wait for it; the task does, and takes no harm from a folder that stays. */
  #discard(folder: string): void {
    this.#discarded = Promise.allSettled([this.#discarded, discardKept(folder)]);
  }

  #progress(at: number, folder: string, stepStartedMs: number): TaskProgress {
    const { masker } = this.#context;
    return {
      startedMs: this.#startedMs,
      prepared: this.#prepared,
      secrets: [...masker.values],
      at,
      env: this.#env,
      ...(this.#last === undefined ? {} : { last: this.#last }),
      ...(this.#action === undefined ? {} : { action: this.#action }),
      ...(this.#ending === undefined ? {} : { ending: this.#ending }),
      folder,
      stepStartedMs,
    };
  }

  /** What is done inside the agent itself can be begun again only where nothing of it was. */
  #refuseUnknown({ kind, name }: Step, keep: KeptStep | undefined): void {
    const hasBegun = keep?.told?.hasBegun === true && !keep.isAdopted;
    if (hasBegun && (kind === 'import' || kind === 'cleanup'))
      throw new StepLost(`the agent was ended in the middle of ${name}`);
  }

  /** A hook after an action on dumps gets the paths that the action reports, where it does. */
  #withPaths<AnyStep extends Step>(step: AnyStep): AnyStep {
    if (step.kind !== 'hook' || step.takesDumps !== true || this.#action?.paths === undefined) return step;
    return { ...step, argv: [step.name, ...this.#action.paths] };
  }

  #endingSoFar(): Ending {
    const { stop } = this.#run;
    return this.#last === undefined || this.#last.outcome === 'succeeded'
      ? endOfAll(stop)
      : endingOf(this.#last, stop);
  }

  /** Its own result is told and changes nothing. */
  async #runFailHook(hook: HookStep, failed: DoneStep): Promise<void> {
    const at = this.#prepared.plan.steps.length;
    const { now, failHookMs = defaultFailHookMs } = this.#run;
    const spentMs = this.#resumed?.at === at ? now() - this.#resumed.stepStartedMs : 0;
    const stop = new StopSignal();
    const reason = `not done after ${failHookMs / 1000} s`;
    const timer = setTimeout(
      () => stop.stop({ state: 'timed-out', reason }),
      Math.max(0, failHookMs - spentMs),
    );
    const why = { KOMPOSE_FAILED_STEP: failed.step, KOMPOSE_EXIT_CODE: String(failed.exitCode) };
    const prepared = { ...this.#prepared, hookEnv: { ...this.#prepared.hookEnv, ...why } };
    await this.#perform(at, hook, { ...this.#context, stop, prepared }).finally(() => clearTimeout(timer));
  }
}

function endOfAll({ cause }: StopSignal): Ending {
  if (cause !== undefined) return { ...cause, actionDecided: false };
  return { state: 'succeeded', exitCode: 0, reason: '', actionDecided: true };
}

function endingOf({ step, name, outcome, exitCode, error, left }: DoneStep, stop: StopSignal): Ending {
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
