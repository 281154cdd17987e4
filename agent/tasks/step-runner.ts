import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Dump, StepKind, StepOutcome } from '../../common/task-event.ts';
import type { ActionContext, ActionEnd } from '../database/action.ts';
import { workOfCommand } from '../containers/work-of-command.ts';
import { cleanUpDumps } from '../database/cleanup.ts';
import { exportDatabase } from '../database/export.ts';
import { importDatabase } from '../database/import.ts';
import { forgetUnfinished } from '../database/unfinished.ts';
import type { HookStep, ProgramStep, Step } from '../plan/plan.ts';
import { readOptional } from '../process/keeper-folder.ts';
import { readPatiently } from '../process/scarcity.ts';
import { execute, type Execution } from './execute.ts';
import type { KeptStep, StepEnd } from './kept-step.ts';
import {
  envAfterHook,
  hookArgv,
  namesFileOf,
  noExports,
  parseExports,
  type HookExports,
} from './hook-wrapper.ts';
import type { PreparedTask } from './prepare-task.ts';
import type { SentScripts } from './sent-scripts.ts';
import { makeScratchFolder } from './scratch-folder.ts';
import { scriptOf, StepReport } from './step-report.ts';
import type { StopSignal } from './stop-signal.ts';
import type { EventSink } from './task-recorder.ts';
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

/** What one step has of its own. */
export interface StepRun {
  readonly step: Step;
  /** That of all steps, as the step before left it. */
  readonly env: Readonly<Record<string, string>>;
  /** When it began, by the clock of its context. */
  readonly startedMs: number;
  /** It may outlive this process. */
  readonly keep: KeptStep | undefined;
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
  [Kind in Step['kind']]: (step: Extract<Step, { kind: Kind }>, run: RunningStep) => Promise<Done>;
};

interface RunningStep extends Pick<StepRun, 'env' | 'keep'> {
  readonly context: StepContext;
  readonly report: StepReport;
}

type Done = Omit<StepEnd, 'outputSha256' | 'isTorn'>;

const executors: Executors = {
  program: runProgram,
  hook: runHook,
  export: (step, run) => runAction((context) => exportDatabase(step, context), run),
  import: (step, run) => runAction((context) => importDatabase(step, context), run),
  cleanup: (step, run) => runAction((context) => cleanUpDumps(step, context), run),
};

/**
 * Runs one step to its end, or goes on with one that an earlier process began, and tells of it. Resolves also when the
 * task is stopped, once every process of the step is gone. Throws `StepLost` where nobody knows what became of it.
 */
export async function runStep(run: StepRun, context: StepContext): Promise<StepResult> {
  const { keep } = run;
  const report = new StepReport(run, context);
  try {
    const noted = keep?.notedEnd;
    if (noted !== undefined) await report.recall(noted);
    const end = noted ?? (await perform(run, context, report));
    return { ...(await report.finish(end)), env: end.env };
  } finally {
    keep?.close();
  }
}

async function perform(
  { step, env, keep }: StepRun,
  context: StepContext,
  report: StepReport,
): Promise<StepEnd> {
  const done = await dispatch(step, { context, env, keep, report }).catch(async (error: unknown) => {
    await report.output.finish();
    throw error;
  });
  const end = { ...done, outputSha256: await report.output.finish() };
  keep?.noteEnd(end);
  if (isDatabaseStep(step)) await forgetUnfinished(context);
  return end;
}

function isDatabaseStep({ kind }: Step): boolean {
  return kind !== 'program' && kind !== 'hook';
}

/** To its executor; TypeScript does not see that a table of functions by kind takes a step of that kind. */
function dispatch(step: Step, run: RunningStep): Promise<Done> {
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
  { context, env, keep, report }: RunningStep,
): Promise<Done> {
  report.begin();
  const { prepared, stop, now, masker, sink } = context;
  const end = await act({
    folder: prepared.stack.path,
    workFolder: context.workFolder,
    env,
    keep,
    startedMs: report.startedMs,
    stop,
    now,
    write: (stream, chunk) => report.output.write(stream, chunk),
    print: (line) => {
      // An action that is gone on with has one line to print.
      if (keep?.isAdopted === true && keep.told?.hasStdout === true) return;
      void report.output.writeUnmasked('stdout', Buffer.from(`${line}\n`));
    },
    notice: (text) => void sink({ type: 'notice', text }),
    mask: (text) => masker.maskText(text),
  });
  return { end, env };
}

function placeOf({ prepared, stop }: StepContext): Pick<Execution, 'task' | 'cwd' | 'stop'> {
  return { task: prepared.hookEnv['KOMPOSE_TASK_ID'] ?? '', cwd: prepared.stack.path, stop };
}

async function runProgram(step: ProgramStep, { context, env, keep, report }: RunningStep): Promise<Done> {
  report.begin();
  const { stdin } = context;
  const place = placeOf(context);
  const work = workOfCommand(step.command, { ...place, env });
  const compose = step.argv.slice(0, step.composeWords + 1);
  const args = step.argv.slice(step.composeWords + 1);
  const [program = 'docker', ...rest] = [...compose, ...(work?.options ?? []), ...args];
  const end = await execute({ ...place, argv: [program, ...rest], env, stdin, work, keep }, report);
  return { end, env };
}

async function runHook(step: HookStep, run: RunningStep): Promise<Done> {
  const { context, env, keep, report } = run;
  if (!step.uncertain) report.begin();
  report.script = await scriptOf(step, keep);
  const { end, exported } = await executeHook(step, run);
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

/**
 * What the hook exports stands in a file of its own until it is read. It is small, and in memory: the next step would wait
 * for Node's pool of threads longer than for the file.
 */
async function executeHook(
  step: HookStep,
  { context, env, keep, report }: RunningStep,
): Promise<{ end: ActionEnd; exported: HookExports }> {
  const { hookEnv } = context.prepared;
  const scratch =
    keep === undefined ? makeScratchFolder(hookEnv['KOMPOSE_TASK_ID'] ?? '', context.workFolder) : undefined;
  const exportsFile = keep?.exportsFile ?? join(scratch ?? '', 'exports');
  try {
    // The hook writes into what is there, whatever its umask.
    if (keep?.isAdopted !== true)
      for (const file of [exportsFile, namesFileOf(exportsFile)])
        writeFileSync(file, noExports, { mode: 0o600 });
    const argv = hookArgv({ ...step.hooks, file: step.hooks.path, exportsFile, argv: step.argv });
    const hookedEnv = { ...env, ...hookEnv, KOMPOSE_HOOK: step.name };
    const end = await execute({ ...placeOf(context), argv, env: hookedEnv, keep }, report);
    const exported = parseExports(await readPatiently(() => readOptional(exportsFile)));
    const isMissed = exported.isTorn && step.step === 'pre' && end.exitCode === 0;
    if (!isMissed) return { end, exported };
    const error = `what ${step.name} exports could not be kept in ${dirname(exportsFile)}: has it room?`;
    return { end: { ...end, exitCode: 1, error }, exported };
  } finally {
    if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true });
  }
}
