import type { StepFinished, StepOutcome, OutputStream } from '../../common/task-event.ts';
import { secretValues } from '../../common/redaction/secret-name.ts';
import type { HookStep, Step } from '../plan/plan.ts';
import type { KeptStep, StepEnd } from './kept-step.ts';
import { asRan, readScript, type RanScript } from './sent-scripts.ts';
import { shownArgv } from './shown-argv.ts';
import type { StepContext, StepResult, StepRun } from './step-runner.ts';
import { OutputRecorder } from './task-recorder.ts';

/** Tells of a step's beginning once, and of its end if it began. */
export class StepReport {
  readonly output: OutputRecorder;
  /** Of a hook, as it runs. */
  script: RanScript | undefined;
  readonly startedMs: number;
  readonly #step: Step;
  readonly #keep: KeptStep | undefined;
  readonly #context: StepContext;
  #hasBegun: boolean;

  constructor({ step, startedMs, keep }: StepRun, context: StepContext) {
    this.#step = step;
    this.#keep = keep;
    this.#context = context;
    this.startedMs = startedMs;
    this.#hasBegun = keep?.told?.hasBegun ?? false;
    const { masker, sink } = context;
    this.output = new OutputRecorder(step.step, masker, sink, keep?.onMarks, keep?.recordedBefore);
  }

  /** What its process writes; pauses its caller while the promise is pending. */
  write(stream: OutputStream, chunk: Uint8Array): void | Promise<void> {
    const isShownRaw = this.#context.isRaw && this.#step.step === 'action';
    return isShownRaw ? this.output.writeUnmasked(stream, chunk) : this.output.write(stream, chunk);
  }

  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const { step, name } = this.#step;
    const argv = shownArgv(this.#step, this.#context.prepared.names, this.#context.masker);
    void this.#context.sink({ type: 'step.started', step, name, argv });
  }

  /** It ended in an earlier process. */
  async recall({ env }: StepEnd): Promise<void> {
    this.#context.masker.add(secretValues(env));
    if (this.#step.kind === 'hook') this.script = await scriptOf(this.#step, this.#keep);
  }

  /** Tells of its end, unless an earlier process did. */
  async finish({ end: { stands, ...end }, outputSha256 }: StepEnd): Promise<Omit<StepResult, 'env'>> {
    const { step, name } = this.#step;
    const { exitCode } = end;
    const told = this.#keep?.told?.finished;
    if (told !== undefined) return { step, name, ...end, outcome: told.outcome };
    const cause = stands === true ? undefined : this.#context.stop.cause?.state;
    const outcome: StepOutcome = cause ?? (exitCode === 0 ? 'succeeded' : 'failed');
    if (this.#hasBegun) {
      const durationMs = Math.round(this.#context.now() - this.startedMs);
      const finished = { step, name, outcome, exitCode, durationMs, outputSha256 };
      await this.#tellTorn();
      await this.#context.sink({ type: 'step.finished', ...finished, ...this.#tellScript() });
    }
    return { step, name, outcome, ...end };
  }

  async #tellTorn(): Promise<void> {
    const text = 'some of the output is missing: the host had no room for it, or what took it was killed';
    if (this.#keep?.isTorn === true) await this.#context.sink({ type: 'notice', text });
  }

  /** After the step, when what it exported is masked too. */
  #tellScript(): Pick<StepFinished, 'hookSha256' | 'script'> {
    if (this.script === undefined) return { hookSha256: '' };
    const script = this.#context.scripts?.tell(this.script, this.#context.masker);
    return { hookSha256: this.script.sha256, ...(script === undefined ? {} : { script }) };
  }
}

/** As it runs: it may be another one by the time that the step is taken over. */
export async function scriptOf({ hooks }: HookStep, keep: KeptStep | undefined): Promise<RanScript> {
  if (keep?.isAdopted === true) return asRan(keep.noted('hooks.sh'), hooks);
  const script = await readScript(hooks);
  if (script.bytes !== undefined) keep?.note('hooks.sh', script.bytes);
  return script;
}
