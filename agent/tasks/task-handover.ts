import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';
import { bootId } from '../process/process-identity.ts';
import type { PreparedTask } from './prepare-task.ts';
import { makeScratchFolder } from './scratch-folder.ts';
import type { StepResult } from './step-runner.ts';
import type { StopCause } from './stop-signal.ts';
import type { TaskFinished } from '../../common/task-event.ts';
import type { TaskSpec } from './task-spec.ts';

/*
 * What the next process of the agent needs to go on with a task, in files (0600). In the task's folder (0700), which is
 * removed with the task: `handover.json`, where the others are; `stop.json`, why it is to end. With secrets in them,
 * variables and what hooks exported, and so in a scratch folder, in memory where the host has a tmpfs: `task.json`, what
 * it is to do; `progress.json`, how far it is.
 *
 * INVARIANTS
 * - `handover.json` is there before anything of the task runs, and only of a task that can go on; `task.json` before it.
 * - `progress.json` names a step's folder before anything of the step runs; without it nothing of the stack's has run.
 * - Each file is whole or not there: a kill tears none. Against a crash of the machine they need not stand: nothing goes
 *   on after one.
 * - After one the scratch folder is not looked into: anybody may have made another of its name.
 */

/** Of the files: a process goes on with nothing that it might misread. */
export const handoverFormat = 1;

export interface HandedTask {
  readonly format: number;
  /** Of the machine. */
  readonly boot: string;
  /** Somebody on this host asked for it. */
  readonly isLocal: boolean;
  /** The scratch folder. */
  readonly scratch: string;
}

/** What an earlier process left of a task. */
export interface FoundHandover {
  readonly handover: TaskHandover;
  readonly task: HandedTask;
  /** Undefined where nothing goes on: the machine went down. */
  readonly spec: TaskSpec | undefined;
  readonly stop: StopCause | undefined;
}

export interface TaskProgress {
  /** Milliseconds of the machine's monotonic clock. */
  readonly startedMs: number;
  readonly prepared: PreparedTask;
  /** All that masking hides. */
  readonly secrets: readonly string[];
  /** Place of the step that runs in the plan; behind the last one: the fail hook. */
  readonly at: number;
  /** Of the steps from there on. */
  readonly env: Readonly<Record<string, string>>;
  /** Of the step before. */
  readonly last?: DoneStep;
  readonly action?: DoneStep;
  /** How the task ends, once it runs its fail hook. */
  readonly ending?: Omit<TaskFinished, 'type' | 'durationMs'>;
  /** Of the step that runs: private, and its own. */
  readonly folder: string;
  readonly stepStartedMs: number;
}

export type DoneStep = Omit<StepResult, 'env'>;

export class TaskHandover {
  readonly #folder: string;
  readonly scratch: string;
  #progress: TaskProgress | undefined;

  /** Begins that of a task that was accepted just now. Throws Node's system errors, and leaves nothing then. */
  static create(folder: string, spec: TaskSpec, isLocal: boolean): TaskHandover {
    const scratch = makeScratchFolder(spec.task, folder);
    const handover = new TaskHandover(folder, scratch, undefined);
    try {
      write(scratch, 'task', spec);
      const task: HandedTask = { format: handoverFormat, boot: bootId(), isLocal, scratch };
      write(folder, 'handover', task);
      return handover;
    } catch (error) {
      handover.forget();
      throw error;
    }
  }

  /** That of an earlier process; undefined if there is none, or not all of it. */
  static read(folder: string): FoundHandover | undefined {
    const task = readHanded(folder);
    if (task === undefined) return undefined;
    const stop = readJson(folder, 'stop') as StopCause | undefined;
    if (task.boot !== bootId())
      return { handover: new TaskHandover(folder, task.scratch, undefined), task, spec: undefined, stop };
    const spec = readJson(task.scratch, 'task') as TaskSpec | undefined;
    if (spec === undefined) return undefined;
    return { handover: new TaskHandover(folder, task.scratch, readProgress(task.scratch)), task, spec, stop };
  }

  private constructor(folder: string, scratch: string, progress: TaskProgress | undefined) {
    this.#folder = folder;
    this.scratch = scratch;
    this.#progress = progress;
  }

  /** Undefined before the first step. */
  get progress(): TaskProgress | undefined {
    return this.#progress;
  }

  /** Throws Node's system errors (ENOSPC): the step that it is about must not begin then. */
  keep(progress: TaskProgress): void {
    write(this.scratch, 'progress', {
      ...progress,
      prepared: { ...progress.prepared, names: [...progress.prepared.names] },
    });
    this.#progress = progress;
  }

  /** The task is being ended. */
  noteStop(cause: StopCause): void {
    try {
      write(this.#folder, 'stop', cause);
    } catch {
      // The next process lets it go on, until it is told again.
    }
  }

  /** The task does not go on without this process. */
  forget(): void {
    for (const name of ['handover', 'stop'] as const) rmSync(fileIn(this.#folder, name), { force: true });
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

/** The folder of the step that runs in a task's folder; undefined if there is none. */
export function stepFolderOf(folder: string): string | undefined {
  const task = readHanded(folder);
  return task === undefined || task.boot !== bootId() ? undefined : readProgress(task.scratch)?.folder;
}

type FileName = 'handover' | 'task' | 'progress' | 'stop';

const fileIn = (folder: string, name: FileName): string => join(folder, `${name}.json`);

function write(folder: string, name: FileName, content: unknown): void {
  const path = fileIn(folder, name);
  writeFileSync(`${path}.new`, JSON.stringify(content), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readHanded(folder: string): HandedTask | undefined {
  return readJson(folder, 'handover') as HandedTask | undefined;
}

function readProgress(folder: string): TaskProgress | undefined {
  const progress = readJson(folder, 'progress') as TaskProgress | undefined;
  if (progress === undefined) return undefined;
  const { prepared } = progress;
  return { ...progress, prepared: { ...prepared, names: new Set(prepared.names) } };
}

/** Undefined where there is none, or a crash of the machine left a part of it. */
function readJson(folder: string, name: FileName): unknown {
  try {
    return JSON.parse(readFileSync(fileIn(folder, name), 'utf8')) as unknown;
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
