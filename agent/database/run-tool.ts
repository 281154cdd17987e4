import type { Writable } from 'node:stream';
import type { KeptEnd } from '../process/kept-process.ts';
import { terminateMarked } from '../process/marked-processes.ts';
import { startProcess, type ProcessSpec } from '../process/running-process.ts';
import { StepLost, type KeptStep } from '../tasks/kept-step.ts';
import type { ActionContext } from './action.ts';
import type { Database } from './database.ts';
import { FailureCause } from './failure-cause.ts';
import type { Variables } from './find-database.ts';
import { endInsideArgv } from './tools.ts';

/** How long a stopped tool has between SIGTERM and SIGKILL. */
const terminationGraceMs = 10_000;

export interface ToolRun {
  readonly argv: readonly [string, ...string[]];
  readonly env: Variables;
  /** Open files that become stdin and stdout. */
  readonly files?: { readonly stdin?: number; readonly stdout?: number };
  /** Written to its stdin, instead of a file, once it is there. */
  readonly input?: string | Promise<string>;
}

/** Its stdin is a file, or empty. */
export type KeptToolRun = Omit<ToolRun, 'input'>;

export interface ToolEnd {
  readonly exitCode: number;
  /** The line of its stderr that tells why it failed, or why it could not be started. */
  readonly cause?: string;
}

/**
 * Runs a tool to its end; when the task is stopped, until every process of it on this host is gone. If the action may
 * outlive this process, the tool goes on without it, or is taken over from an earlier one: there is one such tool in an
 * action. Throws `StepLost`.
 */
export async function runTool(run: KeptToolRun, context: ActionContext): Promise<ToolEnd> {
  const { process, cause } = start(run, context, context.keep);
  const forget = context.stop.onStop(() => void process.terminate(terminationGraceMs));
  const { isGone, ...end }: KeptEnd = await process.ended;
  if (context.stop.cause !== undefined) await process.terminate(terminationGraceMs);
  forget();
  if (context.stop.cause === undefined && isGone === true) {
    // Its keeper may have been killed alone.
    await terminateMarked(`PGAPPNAME=${run.env['PGAPPNAME'] ?? ''}`, terminationGraceMs);
    throw new StepLost(`${run.argv[0]} is gone and left no exit code`);
  }
  return toolEnd(end, cause);
}

/**
 * Runs a tool that should not be broken off in the middle: from when it has its input it has `limitMs`, and once the
 * task is stopped still `stoppedLimitMs`.
 */
export async function runToolToItsEnd(
  run: ToolRun,
  { limitMs, stoppedLimitMs }: { readonly limitMs: number; readonly stoppedLimitMs: number },
  context: ActionContext,
): Promise<ToolEnd> {
  const { process, cause } = start(run, context);
  const end = (): void => void process.terminate(0);
  await Promise.race([run.input, process.ended]);
  const timers = [setTimeout(end, limitMs)];
  const forget = context.stop.onStop(() => void timers.push(setTimeout(end, stoppedLimitMs)));
  const ended = await process.ended;
  forget();
  timers.forEach(clearTimeout);
  return toolEnd(ended, cause);
}

/** Ends what a stopped tool may have left inside the container. */
export async function endInside(
  database: Database,
  mark: string,
  env: Variables,
  context: ActionContext,
): Promise<void> {
  const argv = endInsideArgv(database, mark);
  const limits = { limitMs: terminationGraceMs, stoppedLimitMs: terminationGraceMs };
  if (argv !== undefined) await runToolToItsEnd({ argv, env }, limits, context);
}

function start({ argv, env, files, input }: ToolRun, context: ActionContext, keep?: KeptStep) {
  const cause = new FailureCause();
  const spec: ProcessSpec = {
    argv,
    env,
    cwd: context.folder,
    ...(files === undefined ? {} : { files }),
    onOutput: (stream, chunk) => {
      if (stream === 'stderr') cause.push(chunk);
      return context.write(stream, chunk);
    },
  };
  const onStdin = (stdin: Writable): void => {
    stdin.on('error', () => undefined);
    void Promise.resolve(input).then((text) => stdin.end(text));
  };
  const process =
    keep === undefined
      ? startProcess(input === undefined ? spec : { ...spec, onStdin })
      : keep.start({ ...spec, mark: env['PGAPPNAME'] ?? '' });
  return { process, cause };
}

function toolEnd(
  { exitCode, error }: { readonly exitCode: number; readonly error?: string },
  { line }: FailureCause,
): ToolEnd {
  const cause = error ?? line;
  return { exitCode, ...(cause === undefined ? {} : { cause }) };
}

/** Characters. */
const longestCause = 1000;

/** `pg_dump ended with exit code 1: connection … failed: FATAL: …`; masked. */
export function failureText(tool: string, { exitCode, cause }: ToolEnd, context: ActionContext): string {
  const ending = `${tool} ended with exit code ${exitCode}`;
  return cause === undefined ? ending : `${ending}: ${context.mask(cause).slice(0, longestCause)}`;
}
