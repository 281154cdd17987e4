import type { Writable } from 'node:stream';
import type { KeptEnd } from '../process/kept-process.ts';
import { terminateMarked } from '../process/marked-processes.ts';
import { startProcess, type ProcessSpec, type RunningProcess } from '../process/running-process.ts';
import { StepLost, type KeptStep } from '../tasks/kept-step.ts';
import type { StopSignal } from '../tasks/stop-signal.ts';
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
}

/** How long a tool has that should not be broken off in the middle, in all and from when the task is stopped. */
export interface ToolLimits {
  readonly limitMs: number;
  readonly stoppedLimitMs: number;
}

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
export async function runTool(run: ToolRun, context: ActionContext): Promise<ToolEnd> {
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

/** Runs a tool that should not be broken off in the middle. */
export async function runToolToItsEnd(
  run: ToolRun,
  limits: ToolLimits,
  context: ActionContext,
): Promise<ToolEnd> {
  const tool = start(run, context);
  return within(limits, tool, context.stop, endOf(tool));
}

/** Waits for what a tool does; ends the tool when its time is over. */
async function within<T>(
  { limitMs, stoppedLimitMs }: ToolLimits,
  { process }: StartedTool,
  stop: StopSignal,
  result: Promise<T>,
): Promise<T> {
  const end = (): void => void process.terminate(0);
  const timers = [setTimeout(end, limitMs)];
  const forget = stop.onStop(() => void timers.push(setTimeout(end, stoppedLimitMs)));
  try {
    return await result;
  } finally {
    forget();
    timers.forEach(clearTimeout);
  }
}

/** A tool that takes texts on stdin, one after the other, none of which should be broken off in the middle. */
export class ToolSession {
  readonly #limits: ToolLimits;
  readonly #context: ActionContext;
  readonly #tool: StartedTool;
  #stdin: Writable | undefined;

  constructor(run: Omit<ToolRun, 'files'>, limits: ToolLimits, context: ActionContext) {
    this.#limits = limits;
    this.#context = context;
    this.#tool = start(run, context, undefined, (stdin) => {
      stdin.on('error', () => undefined);
      this.#stdin = stdin;
    });
  }

  /** Gives it a text and waits until `isDone` or its end; undefined if it goes on. */
  give(text: string, isDone: Promise<undefined>): Promise<ToolEnd | undefined> {
    this.#stdin?.write(text);
    return this.#within(Promise.race([isDone, endOf(this.#tool)]));
  }

  /** Gives it its last text. */
  end(text: string): Promise<ToolEnd> {
    this.#stdin?.end(text);
    return this.#within(endOf(this.#tool));
  }

  #within<T>(result: Promise<T>): Promise<T> {
    return within(this.#limits, this.#tool, this.#context.stop, result);
  }
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

interface StartedTool {
  readonly process: Pick<RunningProcess, 'ended' | 'terminate'>;
  readonly cause: FailureCause;
}

function start(
  { argv, env, files }: ToolRun,
  context: ActionContext,
  keep?: KeptStep,
  onStdin?: ProcessSpec['onStdin'],
) {
  const cause = new FailureCause();
  const spec: ProcessSpec = {
    argv,
    env,
    cwd: context.folder,
    ...(files === undefined ? {} : { files }),
    ...(onStdin === undefined ? {} : { onStdin }),
    onOutput: (stream, chunk) => {
      if (stream === 'stderr') cause.push(chunk);
      return context.write(stream, chunk);
    },
  };
  const process =
    keep === undefined ? startProcess(spec) : keep.start({ ...spec, mark: env['PGAPPNAME'] ?? '' });
  return { process, cause };
}

async function endOf({ process, cause }: StartedTool): Promise<ToolEnd> {
  return toolEnd(await process.ended, cause);
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
