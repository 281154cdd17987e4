import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Readable, Writable } from 'node:stream';
import { execa } from 'execa';
import { isSystemError } from '../../common/errors.ts';
import type { OutputStream } from '../../common/task-event.ts';
import { isOthersOutput } from './late-output.ts';

/*
 * INVARIANTS
 * - Each process leads a session and process group of its own; a signal reaches the whole group.
 * - It has ended when its own process has, not when the last holder of its pipes has: a background job that a
 *   hook left behind does not hold the step open. Its later output is read on and dropped, so that it is not
 *   killed by a closed pipe.
 * - `onOutput` sees every byte that arrived up to the grace after the exit (`late-output.ts`), and none after `ended`
 *   settled.
 */

/** What to start. `env` is the whole environment; nothing of the agent's own is added. */
export interface ProcessSpec {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Open files of the caller's that become stdin and stdout; what goes there is not seen by `onOutput`. */
  readonly files?: { readonly stdin?: number; readonly stdout?: number };
  /** Called for each chunk in order of arrival; while the promise it returns is pending the stream is paused. */
  readonly onOutput: (stream: OutputStream, chunk: Uint8Array) => void | Promise<void>;
  /** Given the process's stdin, to be written and ended; without it stdin is empty. */
  readonly onStdin?: (stdin: Writable) => void;
}

/** Exit code, 128 + n for signal n, 127 when the program could not be started (`error` says why). */
export interface ProcessEnd {
  readonly exitCode: number;
  readonly error?: string;
}

export interface RunningProcess {
  readonly pid: number | undefined;
  /** Never rejects. */
  readonly ended: Promise<ProcessEnd>;
  /** SIGTERM to the group; SIGKILL to what is left of it after `graceMs`. Resolves with the end. */
  terminate(graceMs: number): Promise<ProcessEnd>;
}

/** Starts a process; never throws. */
export function startProcess(spec: ProcessSpec): RunningProcess {
  try {
    return start(spec);
  } catch (error) {
    // Such as a NUL in an argument; the message would repeat it.
    const reason = `${spec.argv[0]} could not be started: an argument or variable is malformed`;
    const ended = Promise.resolve({ exitCode: 127, error: reason, cause: error });
    return { pid: undefined, ended, terminate: () => ended };
  }
}

function start(spec: ProcessSpec): RunningProcess {
  const [file, ...args] = spec.argv;
  const child = execa(file, args, {
    cwd: spec.cwd,
    env: spec.env,
    extendEnv: false,
    stdin: fileDescriptor(spec.files?.stdin) ?? (spec.onStdin === undefined ? 'ignore' : 'pipe'),
    stdout: fileDescriptor(spec.files?.stdout) ?? 'pipe',
    stderr: 'pipe',
    buffer: false,
    reject: false,
    detached: true,
    cleanup: false,
    stripFinalNewline: false,
  });
  if (child.stdin !== null) spec.onStdin?.(child.stdin);
  const exit = Promise.withResolvers<ProcessEnd>();
  child.nodeChildProcess.once('exit', (code, signal) =>
    exit.resolve({ exitCode: code ?? signalExitCode(signal) }),
  );
  // Settles after the exit, so it decides only where there was no start and so no exit.
  void child.then((result) =>
    exit.resolve({ exitCode: 127, error: notStarted(file, spec.cwd, result.cause) }),
  );
  const pumps = [pump(child.stdout, 'stdout', spec), pump(child.stderr, 'stderr', spec)];
  const ended = exit.promise.then(async (end) => {
    await settle(pumps);
    return end;
  });
  return {
    pid: child.pid,
    ended,
    terminate: (graceMs) => terminate(child.pid, exit.promise, ended, graceMs),
  };
}

/** execa's types know the numbers 3 to 9 only; a process can be given any. */
function fileDescriptor(number: number | undefined): 3 | undefined {
  return number as 3 | undefined;
}

interface Pump {
  readonly finished: Promise<void>;
  /** For how long nothing has come; 0 while what came waits for its taker. */
  idleMs(): number;
  /** Bytes taken so far. */
  taken(): number;
  /** From now on chunks are dropped. */
  stop(): void;
}

function pump(stream: Readable | null, name: OutputStream, spec: ProcessSpec): Pump {
  const none = { finished: Promise.resolve(), idleMs: () => Number.POSITIVE_INFINITY, taken: () => 0 };
  if (stream === null) return { ...none, stop: () => undefined };
  let isStopped = false;
  let isTaking = false;
  let taken = 0;
  let lastMs = performance.now();
  const read = async (): Promise<void> => {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      if (isStopped) continue;
      isTaking = true;
      await spec.onOutput(name, chunk);
      isTaking = false;
      taken += chunk.length;
      lastMs = performance.now();
    }
  };
  return {
    finished: read().catch(() => undefined),
    idleMs: () => (isTaking ? 0 : performance.now() - lastMs),
    taken: () => taken,
    stop: () => void (isStopped = true),
  };
}

/** Waits for both streams' ends, or until what still comes is a background job's. */
async function settle(pumps: readonly Pump[]): Promise<void> {
  const sinceMs = performance.now();
  const finished = Promise.all(pumps.map((each) => each.finished)).then(() => true);
  const before = pumps.map((each) => each.taken());
  const isOthers = (each: Pump, at: number): boolean =>
    isOthersOutput({
      endedMs: performance.now() - sinceMs,
      idleMs: each.idleMs(),
      lateBytes: each.taken() - (before[at] ?? 0),
    });
  const look = async (): Promise<boolean> => {
    await pause(20);
    // On a busy machine the pause may be over before what the pipes hold was read.
    await nextTurn();
    return pumps.every(isOthers);
  };
  while (!(await Promise.race([finished, look()]))) continue;
  for (const each of pumps) each.stop();
}

/** SIGTERM to the group of `pid`; SIGKILL to what is left of it after `graceMs`. */
export async function terminate(
  pid: number | undefined,
  exited: Promise<ProcessEnd>,
  ended: Promise<ProcessEnd>,
  graceMs: number,
): Promise<ProcessEnd> {
  if (pid === undefined) return ended;
  signalGroup(pid, 'SIGTERM');
  const deadline = Date.now() + graceMs;
  let member: string | undefined = String(pid);
  while ((member = liveMember(pid, member)) !== undefined && Date.now() < deadline) await pause(20);
  signalGroup(pid, 'SIGKILL');
  return ended;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has ended already.
  }
}

/**
 * One process of the group that lives, `known` if it still does: to look at all processes of a host takes long. Zombies
 * do not count: when init takes them off the list says nothing of the group.
 */
function liveMember(group: number, known: string): string | undefined {
  if (isLiveMember(known, group)) return known;
  try {
    process.kill(-group, 0);
  } catch {
    return undefined;
  }
  return readdirSync('/proc').find((name) => /^\d+$/.test(name) && isLiveMember(name, group));
}

function isLiveMember(pid: string, group: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state !== 'Z' && processGroup === String(group);
  } catch {
    return false;
  }
}

/** Why a program that could not be started was not. */
export function notStarted(file: string, cwd: string, cause: unknown): string {
  if (isSystemError(cause, 'ENOENT'))
    return `${file} is not on this host's PATH, or the folder ${cwd} is gone`;
  if (isSystemError(cause, 'E2BIG'))
    return `${file} could not be started: its arguments and variables are too long (E2BIG); pass large values in files`;
  return `${file} could not be started: ${cause instanceof Error ? cause.message : 'unknown cause'}`;
}

/** Of a process that a signal ended, by its name or number. */
export function signalExitCode(signal: NodeJS.Signals | number | null): number {
  if (typeof signal === 'number') return 128 + signal;
  return 128 + (signal === null ? 0 : constants.signals[signal]);
}
