import { existsSync, watch, writeFileSync, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import type { OutputStream } from '../../common/task-event.ts';
import { findProgram } from './find-program.ts';
import { keeperArgv, noStatus, parseStatus, type KeeperTools } from './keeper.ts';
import { awaitKeeper, readOptional } from './keeper-folder.ts';
import { KeptOutput, streamStart, type StreamPlace } from './kept-output.ts';
import { isOthersOutput, isPastItsOwn } from './late-output.ts';
import { isRunning } from './process-identity.ts';
import { readNow } from './scarcity.ts';
import {
  notStarted,
  terminate,
  type ProcessEnd,
  type ProcessSpec,
  type RunningProcess,
} from './running-process.ts';

/*
 * A process that goes on when this one is killed, and is taken over by the next.
 *
 * INVARIANTS
 * - It is started at most once: its folder's `keeper` file is made with O_EXCL, by the keeper before it begins or by
 *   whoever decides that it shall not.
 * - Its output is what the files say, whoever reads them: reading takes nothing away, `release` does.
 * - It has ended when its status is there, or when its keeper is gone without one; with a grace for late output as in
 *   `running-process.ts`.
 */

/** What to start. */
export interface KeptSpec extends Omit<ProcessSpec, 'onStdin'> {
  /** Private (0700), this process's alone, and there. The caller discards it. */
  readonly folder: string;
  /** Value of KOMPOSE_STEP_OF in the process's environment. */
  readonly mark: string;
  readonly tools: KeeperTools;
}

/** What to take over: a process of an earlier agent. */
export interface AdoptedSpec extends Pick<KeptSpec, 'folder' | 'onOutput'> {
  /** From where on its output is wanted. */
  readonly from?: Readonly<Record<OutputStream, StreamPlace>> | undefined;
  /** Its stdout went elsewhere. */
  readonly hasNoStdout?: boolean;
}

export interface KeptEnd extends ProcessEnd {
  /** It left no exit code: nobody knows how it ended. */
  readonly isGone?: true;
}

export interface KeptProcess extends RunningProcess {
  readonly ended: Promise<KeptEnd>;
  /** In which piece of a stream a byte is that was taken, and not released. */
  locate(stream: OutputStream, byte: number): Omit<StreamPlace, 'next'>;
  /** Nothing of a stream before this piece will be read again. */
  release(stream: OutputStream, before: number): void;
}

const streams = ['stdout', 'stderr'] as const;
/** A look at the files without a word from the kernel: for what it could not tell. */
const lookMs = 250;
/** Starts a process; never throws. */
export function startKept(spec: KeptSpec): KeptProcess {
  const [file] = spec.argv;
  const { PATH = '/usr/bin:/bin' } = spec.env;
  if (findProgram(file, PATH, spec.cwd) === undefined) {
    const cause = Object.assign(new Error('not found'), { code: 'ENOENT' });
    return notKept(notStarted(file, spec.cwd, cause));
  }
  try {
    return start(spec);
  } catch {
    // Such as a NUL in an argument; the message would repeat it.
    return notKept(`${file} could not be started: an argument or variable is malformed`);
  }
}

/** Takes a process over that an earlier agent started; it may have ended. */
export function adoptKept(spec: AdoptedSpec): KeptProcess {
  const keeper = awaitKeeper(spec.folder);
  return new Kept(spec, async () => {
    const known = await keeper;
    return known !== undefined && isRunning(known);
  });
}

function start(spec: KeptSpec): KeptProcess {
  const { folder, mark, tools, cwd, env, files, argv } = spec;
  try {
    writeFileSync(join(folder, 'status'), noStatus, { mode: 0o600 });
  } catch {
    return notKept(`${folder} cannot be written: the step was not begun`);
  }
  const hasNoStdout = files?.stdout !== undefined;
  const [bash, ...args] = keeperArgv(tools, { folder, mark, agentPid: process.pid, hasNoStdout, argv });
  const child = execa(bash, args, {
    cwd,
    env,
    extendEnv: false,
    stdin: fileDescriptor(files?.stdin) ?? 'ignore',
    stdout: fileDescriptor(files?.stdout) ?? 'ignore',
    stderr: 'ignore',
    buffer: false,
    reject: false,
    detached: true,
    cleanup: false,
  });
  let isOver = false;
  const kept = new Kept({ folder, onOutput: spec.onOutput, hasNoStdout }, async () => !isOver);
  child.nodeChildProcess.once('exit', () => {
    isOver = true;
    kept.look();
  });
  void child.then((result) => {
    if (child.pid === undefined) kept.fail(notStarted(spec.argv[0], cwd, result.cause));
  });
  return kept;
}

class Kept implements KeptProcess {
  readonly ended: Promise<KeptEnd>;
  readonly #folder: string;
  readonly #isKept: () => Promise<boolean>;
  readonly #outputs: Readonly<Record<OutputStream, KeptOutput>>;
  readonly #hasStdout: boolean;
  readonly #exited = Promise.withResolvers<KeptEnd>();
  readonly #watcher: FSWatcher | undefined;
  readonly #timer: NodeJS.Timeout;

  /** `isKept` tells whether its keeper is there. */
  constructor({ folder, from, onOutput, hasNoStdout = false }: AdoptedSpec, isKept: () => Promise<boolean>) {
    this.#folder = folder;
    this.#isKept = isKept;
    this.#hasStdout = !hasNoStdout;
    const follow = (stream: OutputStream): KeptOutput =>
      new KeptOutput(folder, stream, from?.[stream] ?? streamStart, (chunk) => onOutput(stream, chunk));
    this.#outputs = { stdout: follow('stdout'), stderr: follow('stderr') };
    this.#watcher = watchFolder(folder, (file) => this.#hear(file));
    this.#timer = setInterval(() => this.look(), lookMs);
    this.ended = this.#end();
    this.look();
  }

  /** Of the step, while it runs. */
  get pid(): number | undefined {
    const pid = Number(readNow(() => readOptional(join(this.#folder, 'step')))?.found);
    return pid > 0 ? pid : undefined;
  }

  /** Something may have happened to the files or to the keeper. */
  look(): void {
    for (const stream of streams) this.#outputs[stream].look();
    void this.#lookForEnd();
  }

  #hear(file: string | null): void {
    if (file === null || file === 'status') this.look();
    else for (const stream of streams) this.#outputs[stream].look();
  }

  fail(error: string): void {
    this.#exited.resolve({ exitCode: 127, error });
  }

  locate(stream: OutputStream, byte: number): Omit<StreamPlace, 'next'> {
    return this.#outputs[stream].locate(byte);
  }

  release(stream: OutputStream, before: number): void {
    this.#outputs[stream].release(before);
  }

  async terminate(graceMs: number): Promise<KeptEnd> {
    const exited = this.#exited.promise;
    const over = exited.then(() => true);
    // A process that was started just now has no number yet.
    while (this.pid === undefined && !(await Promise.race([over, pause(10)]))) continue;
    return terminate(this.pid, exited, this.ended, graceMs);
  }

  async #lookForEnd(): Promise<void> {
    const isKept = await this.#isKept();
    // In this order: a keeper writes the status before it goes.
    const status = readNow(() => readOptional(join(this.#folder, 'status')));
    if (status === undefined) return;
    const exitCode = parseStatus(status.found);
    if (exitCode !== undefined) this.#exited.resolve({ exitCode });
    else if (!isKept) this.#exited.resolve({ exitCode: 137, isGone: true });
  }

  async #end(): Promise<KeptEnd> {
    const end = await this.#exited.promise;
    const outputs = this.#hasStdout ? [this.#outputs.stdout, this.#outputs.stderr] : [this.#outputs.stderr];
    if (end.error === undefined) {
      const finished = Promise.all(outputs.map((output) => output.finished)).then(() => true as const);
      const drained = join(this.#folder, 'drained');
      // A keeper that is gone without a word of it leaves nothing to wait for.
      await settle(finished, outputs, async () => existsSync(drained) || !(await this.#isKept()));
    }
    for (const stream of streams) this.#outputs[stream].stop();
    clearInterval(this.#timer);
    this.#watcher?.close();
    return end;
  }
}

/** Waits until all is taken that the step itself wrote; what still comes then is a background job's. */
async function settle(
  finished: Promise<true>,
  outputs: readonly KeptOutput[],
  isDrained: () => Promise<boolean>,
): Promise<void> {
  const ends = outputs.map((output) => output.end());
  // A job that writes all the time leaves no moment in which the pipes are drained.
  const isPast = (output: KeptOutput, at: number): boolean => isPastItsOwn(output.taken() - (ends[at] ?? 0));
  let own: { readonly sinceMs: number; readonly ends: readonly number[] } | undefined;
  const isOthers = (output: KeptOutput, at: number): boolean => {
    const end = own?.ends[at] ?? Infinity;
    if (own === undefined || output.taken() < end) return false;
    const lateBytes = output.taken() - end;
    const endedMs = performance.now() - own.sinceMs;
    if (!isOthersOutput({ endedMs, idleMs: output.idleMs(), lateBytes })) return false;
    // What comes first was in a hand. From one that is empty now it is in a piece, maybe since it was looked for.
    return lateBytes > 0 || (!output.isInHand() && output.taken() >= output.end());
  };
  while ((await Promise.race([finished, pause(20)])) !== true) {
    if (own === undefined && ((await isDrained()) || outputs.some(isPast)))
      own = { sinceMs: performance.now(), ends: outputs.map((output) => output.end()) };
    for (const output of outputs) output.look();
    if (outputs.every(isOthers)) return;
  }
}

function notKept(reason: string): KeptProcess {
  const ended = Promise.resolve({ exitCode: 127, error: reason });
  return {
    pid: undefined,
    ended,
    terminate: () => ended,
    locate: () => streamStart,
    release: () => undefined,
  };
}

/** The timer looks where the kernel cannot tell (fs.inotify.max_user_watches). */
function watchFolder(folder: string, onChange: (file: string | null) => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, (_, file) => onChange(file));
    watcher.on('error', () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}

function pause(ms: number): Promise<undefined> {
  return new Promise((resume) => void setTimeout(() => resume(undefined), ms));
}

/** execa's types know the numbers 3 to 9 only; a process can be given any. */
function fileDescriptor(number: number | undefined): 3 | undefined {
  return number as 3 | undefined;
}
