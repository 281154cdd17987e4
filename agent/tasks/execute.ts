import type { Writable } from 'node:stream';
import type { ClientTerminal } from '../../common/client-terminal.ts';
import type { OutputStream } from '../../common/task-event.ts';
import type { ContainerWork } from '../containers/container-work.ts';
import { execMark } from '../containers/exec-work.ts';
import type { ActionEnd } from '../database/action.ts';
import { findUnmarked, terminateMarked } from '../process/marked-processes.ts';
import type { ProcessIdentity } from '../process/process-identity.ts';
import type { KeptEnd } from '../process/kept-process.ts';
import { startProcess, type RunningProcess } from '../process/running-process.ts';
import { startOnTerminal, type TerminalSpec } from '../process/running-terminal.ts';
import { StepLost, type KeptStep } from './kept-step.ts';
import type { StopSignal } from './stop-signal.ts';
import type { OutputRecorder } from './task-recorder.ts';
import type { TaskStdin } from './task-stdin.ts';

/** How long a stopped step has between SIGTERM and SIGKILL. */
export const terminationGraceMs = 10_000;

/**
 * By this variable all processes of a task's steps are known, those too that left their group and session. (No cgroup:
 * an agent need not be root, nor have one of its own.)
 */
const markName = 'KOMPOSE_STEP_OF';

/** What to execute: a program in a stack's folder, as a step of a task. */
export interface Execution {
  readonly task: string;
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stop: StopSignal;
  readonly stdin?: TaskStdin | undefined;
  /** What it starts inside containers. */
  readonly work?: ContainerWork | undefined;
  /** It may outlive this process. */
  readonly keep?: KeptStep | undefined;
}

/** Takes what a step writes. */
export interface StepOutput {
  /** Called before each piece. */
  begin(): void;
  /** Pauses its caller while the promise is pending. */
  write(stream: OutputStream, chunk: Uint8Array): void | Promise<void>;
  readonly output: OutputRecorder;
}

/**
 * Executes a program to its end. Resolves also when the task is stopped, once every process of the task on this host,
 * and what the program started inside containers, is gone or is named as `left`. Throws `StepLost`.
 */
export async function execute(execution: Execution, step: StepOutput): Promise<ActionEnd> {
  const { task, stop, work } = execution;
  const process = await begin(execution, step);
  const ending = Promise.withResolvers<string | undefined>();
  let kin: Promise<ProcessIdentity[]> | undefined;
  const forget = stop.onStop(() => {
    kin = findUnmarked(process.pid === undefined ? [] : [process.pid], markName);
    const both = Promise.all([process.terminate(terminationGraceMs), work?.end(terminationGraceMs)]);
    void both.then(([, left]) => ending.resolve(left));
  });
  const { isGone, ...end }: KeptEnd = await process.ended;
  forget();
  if (stop.cause === undefined) {
    if (isGone !== true) return end;
    // Its keeper may have been killed alone.
    await Promise.all([endStepsOf(task), work?.end(terminationGraceMs)]);
    throw new StepLost('its process is gone and left no exit code');
  }
  const left = await ending.promise;
  const survivors = await terminateMarked(`${markName}=${task}`, terminationGraceMs, await kin);
  // Its client may have begun something more inside before it ended.
  const inside = left ?? (await work?.end(terminationGraceMs));
  const outside = survivors.length === 0 ? undefined : `process ${survivors.join(', ')} could not be ended`;
  const problem = inside ?? outside;
  return problem === undefined ? end : { ...end, left: problem };
}

async function begin(
  { task, argv, env: stepEnv, cwd, stdin, keep }: Execution,
  step: StepOutput,
): Promise<RunningProcess> {
  const onOutput: StepOutput['write'] = (stream, chunk) => {
    step.begin();
    return step.write(stream, chunk);
  };
  if (keep !== undefined) return keep.start({ argv, env: stepEnv, mark: task, cwd, onOutput });
  const env = { ...stepEnv, [markName]: task };
  if (stdin?.terminal !== undefined)
    return executeOnTerminal({ argv, env, cwd }, step, stdin, stdin.terminal);
  if (stdin === undefined) return startProcess({ argv, env, cwd, onOutput });
  const onStdin = (writable: Writable): void => stdin.connect(writable, () => step.output.expectAnswer());
  return startProcess({ argv, env, cwd, onStdin, onOutput });
}

function executeOnTerminal(
  program: Pick<TerminalSpec, 'argv' | 'env' | 'cwd'>,
  step: StepOutput,
  stdin: TaskStdin,
  terminal: ClientTerminal,
): Promise<RunningProcess> {
  step.output.showAtOnce();
  return startOnTerminal({
    ...program,
    terminal,
    onStart: (input, resize) => stdin.connectTerminal(input, resize, () => step.output.expectAnswer()),
    onOutput: (chunk) => step.write('stdout', chunk),
  });
}

/** The environment for a process that belongs to no task's steps, although one of theirs may begin it. */
export function ofNoTask(env: Readonly<Record<string, string>>): Record<string, string> {
  return { ...env, [markName]: 'none' };
}

/** Ends what a killed process left of a task's steps on this host. */
export async function endStepsOf(task: string): Promise<void> {
  await terminateMarked(`${markName}=${task}`, terminationGraceMs);
}

/** SIGKILL to all that runs of a task's steps, and to what still starts, until the task has ended. */
export async function killStepsOf(task: string, hasEnded: () => boolean): Promise<void> {
  while (!hasEnded()) {
    await Promise.all([`${markName}=${task}`, execMark(task)].map((mark) => terminateMarked(mark, 0)));
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}
