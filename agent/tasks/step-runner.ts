import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dump, OutputStream, StepFinished, StepKind, StepOutcome } from '../../common/task-event.ts';
import type { ActionContext, ActionEnd } from '../database/action.ts';
import { workOfCommand } from '../containers/work-of-command.ts';
import { cleanUpDumps } from '../database/cleanup.ts';
import { exportDatabase } from '../database/export.ts';
import { importDatabase } from '../database/import.ts';
import type { HookStep, ProgramStep, Step } from '../plan/plan.ts';
import { execute, type Execution } from './execute.ts';
import { envAfterHook, hookArgv, parseExports, type HookExports } from './hook-wrapper.ts';
import type { PreparedTask } from './prepare-task.ts';
import { readScript, type RanScript, type SentScripts } from './sent-scripts.ts';
import { makeScratchFolder } from './scratch-folder.ts';
import type { StopSignal } from './stop-signal.ts';
import { OutputRecorder, type EventSink } from './task-recorder.ts';
import type { TaskStdin } from './task-stdin.ts';
import type { Masker } from '../../common/redaction/masker.ts';
import { secretValues } from '../../common/redaction/secret-name.ts';

/** What the steps of one task share. */
export interface StepContext {
  readonly prepared: PreparedTask;
  /** Private (0700) and the task's own. */
  readonly workFolder: string;
  readonly masker: Masker;
  readonly sink: EventSink;
  readonly stop: StopSignal;
  /** Of the action, if it reads the client's. */
  readonly stdin: TaskStdin | undefined;
  readonly now: () => number;
  readonly scripts: SentScripts | undefined;
  /** The action's output is not masked. */
  readonly isRaw: boolean;
}

export interface StepResult {
  readonly step: StepKind;
  readonly name: string;
  readonly outcome: StepOutcome;
  readonly exitCode: number;
  /** Why it failed, where that is known better than by its exit code. */
  readonly error?: string;
  /** What could not be ended when the task was stopped. */
  readonly left?: string;
  /** Of an action on a database, as far as it came. */
  readonly dump?: Dump;
  readonly paths?: readonly string[];
  /** The environment of the steps after this one. */
  readonly env: Readonly<Record<string, string>>;
}

type Executors = {
  [Kind in Step['kind']]: (step: Extract<Step, { kind: Kind }>, run: StepRun) => Promise<Done>;
};

interface StepRun {
  readonly context: StepContext;
  readonly env: Readonly<Record<string, string>>;
  readonly report: StepReport;
}

interface Done {
  readonly end: ActionEnd;
  readonly env: Readonly<Record<string, string>>;
}

const executors: Executors = {
  program: runProgram,
  hook: runHook,
  export: (step, run) => runAction((context) => exportDatabase(step, context), run),
  import: (step, run) => runAction((context) => importDatabase(step, context), run),
  cleanup: (step, run) => runAction((context) => cleanUpDumps(step, context), run),
};

/**
 * Runs one step to its end and tells of it. `env` is that of all steps, as the step before left it. Resolves also
 * when the task is stopped, once every process of the step is gone.
 */
export async function runStep(
  step: Step,
  env: Readonly<Record<string, string>>,
  context: StepContext,
): Promise<StepResult> {
  const report = new StepReport(step, context);
  const done = await dispatch(step, { context, env, report });
  return { ...(await report.finish(done.end)), env: done.env };
}

/** To its executor; TypeScript does not see that a table of functions by kind takes a step of that kind. */
function dispatch(step: Step, run: StepRun): Promise<Done> {
  switch (step.kind) {
    case 'program':
      return executors.program(step, run);
    case 'hook':
      return executors.hook(step, run);
    case 'export':
      return executors.export(step, run);
    case 'import':
      return executors.import(step, run);
    case 'cleanup':
      return executors.cleanup(step, run);
  }
}

async function runAction(
  act: (context: ActionContext) => Promise<ActionEnd>,
  { context, env, report }: StepRun,
): Promise<Done> {
  report.begin();
  const { prepared, stop, now, masker, sink } = context;
  const end = await act({
    folder: prepared.stack.path,
    workFolder: context.workFolder,
    env,
    stop,
    now,
    write: (stream, chunk) => report.output.write(stream, chunk),
    print: (line) => void report.output.writeUnmasked('stdout', Buffer.from(`${line}\n`)),
    notice: (text) => void sink({ type: 'notice', text }),
    mask: (text) => masker.maskText(text),
  });
  return { end, env };
}

function placeOf({ prepared, stop }: StepContext): Pick<Execution, 'task' | 'cwd' | 'stop'> {
  return { task: prepared.hookEnv['KOMPOSE_TASK_ID'] ?? '', cwd: prepared.stack.path, stop };
}

async function runProgram(step: ProgramStep, { context, env, report }: StepRun): Promise<Done> {
  report.begin();
  const { stdin } = context;
  const place = placeOf(context);
  const work = workOfCommand(step.command, { ...place, env });
  const compose = step.argv.slice(0, step.composeWords + 1);
  const args = step.argv.slice(step.composeWords + 1);
  const [program = 'docker', ...rest] = [...compose, ...(work?.options ?? []), ...args];
  const end = await execute({ ...place, argv: [program, ...rest], env, stdin, work }, report);
  return { end, env };
}

async function runHook(step: HookStep, { context, env, report }: StepRun): Promise<Done> {
  if (!step.uncertain) report.begin();
  report.script = await readScript(step.hooks);
  const { end, exported } = await executeHook(step, env, context, report);
  if (exported.isDefined) report.begin();
  if (exported.variables.size === 0) return { end, env };
  const after = {
    ...envAfterHook(env, exported.variables),
    SCRIPT_DIR: env['SCRIPT_DIR'] ?? '',
    stack: env['stack'] ?? '',
  };
  context.masker.add(secretValues(after));
  return { end, env: after };
}

/** What the hook exports stands in a file of its own until it is read. */
async function executeHook(
  step: HookStep,
  env: Readonly<Record<string, string>>,
  context: StepContext,
  report: StepReport,
): Promise<{ end: ActionEnd; exported: HookExports }> {
  const { hookEnv } = context.prepared;
  const scratch = await makeScratchFolder(hookEnv['KOMPOSE_TASK_ID'] ?? '', context.workFolder);
  try {
    const exportsFile = join(scratch, 'exports');
    await writeFile(exportsFile, '', { mode: 0o600 });
    const argv = hookArgv({ ...step.hooks, file: step.hooks.path, exportsFile, argv: step.argv });
    const hookedEnv = { ...env, ...hookEnv, KOMPOSE_HOOK: step.name };
    const end = await execute({ ...placeOf(context), argv, env: hookedEnv }, report);
    return { end, exported: parseExports(await readFile(exportsFile, 'utf8').catch(() => '')) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** A step's argv as everybody may see it: secrets are masked; names and the paths of dumps are not. */
export function shownArgv(step: Step, names: ReadonlySet<string>, masker: Masker): string[] {
  const isPath = (index: number): boolean =>
    step.kind === 'cleanup' ? index >= 2 : step.kind === 'hook' && step.takesDumps === true && index >= 1;
  const isShown = (argument: string, index: number): boolean =>
    isPath(index) || argument === step.name || names.has(argument);
  return step.argv.map((argument, index) =>
    isShown(argument, index) ? argument : masker.maskText(argument),
  );
}

/** Tells of a step's beginning once, and of its end if it began. */
class StepReport {
  readonly output: OutputRecorder;
  /** Of a hook, as it runs. */
  script: RanScript | undefined;
  readonly #step: Step;
  readonly #context: StepContext;
  readonly #startedMs: number;
  #hasBegun = false;

  constructor(step: Step, context: StepContext) {
    this.#step = step;
    this.#context = context;
    this.#startedMs = context.now();
    this.output = new OutputRecorder(step.step, context.masker, context.sink);
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

  async finish({ stands, ...end }: ActionEnd): Promise<Omit<StepResult, 'env'>> {
    const { exitCode } = end;
    const outputSha256 = await this.output.finish();
    const { step, name } = this.#step;
    const cause = stands === true ? undefined : this.#context.stop.cause?.state;
    const outcome: StepOutcome = cause ?? (exitCode === 0 ? 'succeeded' : 'failed');
    if (this.#hasBegun) {
      const durationMs = Math.round(this.#context.now() - this.#startedMs);
      const told = { step, name, outcome, exitCode, durationMs, outputSha256 };
      await this.#context.sink({ type: 'step.finished', ...told, ...this.#tellScript() });
    }
    return { step, name, outcome, ...end };
  }

  /** After the step, when what it exported is masked too. */
  #tellScript(): Pick<StepFinished, 'hookSha256' | 'script'> {
    if (this.script === undefined) return { hookSha256: '' };
    const script = this.#context.scripts?.tell(this.script, this.#context.masker);
    return { hookSha256: this.script.sha256, ...(script === undefined ? {} : { script }) };
  }
}
