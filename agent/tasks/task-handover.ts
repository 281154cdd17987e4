import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';
import { bootId } from '../process/process-identity.ts';
import type { PreparedTask } from './prepare-task.ts';
import type { StepResult } from './step-runner.ts';
import type { StopCause } from './stop-signal.ts';
import type { TaskFinished } from '../../common/task-event.ts';
import type { TaskSpec } from './task-spec.ts';

/*
 * What the next process of the agent needs to go on with a task, in files (0600) of the task's folder (0700), which is
 * removed with the task: `task.json`, what it is to do; `progress.json`, how far it is; `stop.json`, why it is to end.
 * There are secrets in them: variables, and what hooks exported.
 *
 * INVARIANTS
 * - `task.json` is there before anything of the task runs, and only of a task that can go on.
 * - `progress.json` names a step's folder before anything of the step runs; without it nothing of the stack's has run.
 * - Each file is whole or not there: a kill tears none. Against a crash of the machine they need not stand: nothing goes
 *   on after one.
 */

/** Of the files: a process goes on with nothing that it might misread. */
export const handoverFormat = 1;

export interface HandedTask {
  readonly format: number;
  readonly spec: TaskSpec;
  /** Of the machine. */
  readonly boot: string;
  /** Somebody on this host asked for it. */
  readonly isLocal: boolean;
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
  #progress: TaskProgress | undefined;

  /** Begins that of a task that was accepted just now. Throws Node's system errors. */
  static create(folder: string, spec: TaskSpec, isLocal: boolean): TaskHandover {
    const handover = new TaskHandover(folder, undefined);
    handover.#write('task', { format: handoverFormat, spec, boot: bootId(), isLocal } satisfies HandedTask);
    return handover;
  }

  /** That of an earlier process; undefined if there is none. */
  static read(
    folder: string,
  ): { handover: TaskHandover; task: HandedTask; stop: StopCause | undefined } | undefined {
    const task = readJson(fileIn(folder, 'task')) as HandedTask | undefined;
    if (task === undefined) return undefined;
    const handover = new TaskHandover(folder, readProgress(folder));
    return { handover, task, stop: readJson(fileIn(folder, 'stop')) as StopCause | undefined };
  }

  private constructor(folder: string, progress: TaskProgress | undefined) {
    this.#folder = folder;
    this.#progress = progress;
  }

  /** Undefined before the first step. */
  get progress(): TaskProgress | undefined {
    return this.#progress;
  }

  /** Throws Node's system errors (ENOSPC): the step that it is about must not begin then. */
  keep(progress: TaskProgress): void {
    this.#write('progress', {
      ...progress,
      prepared: { ...progress.prepared, names: [...progress.prepared.names] },
    });
    this.#progress = progress;
  }

  /** The task is being ended. */
  noteStop(cause: StopCause): void {
    try {
      this.#write('stop', cause);
    } catch {
      // The next process lets it go on, until it is told again.
    }
  }

  /** The task does not go on without this process. */
  forget(): void {
    for (const name of ['task', 'progress', 'stop'] as const)
      rmSync(fileIn(this.#folder, name), { force: true });
  }

  #write(name: FileName, content: unknown): void {
    const path = fileIn(this.#folder, name);
    writeFileSync(`${path}.new`, JSON.stringify(content), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}

/** The folder of the step that runs in a task's folder; undefined if there is none. */
export function stepFolderOf(folder: string): string | undefined {
  return readProgress(folder)?.folder;
}

type FileName = 'task' | 'progress' | 'stop';

const fileIn = (folder: string, name: FileName): string => join(folder, `${name}.json`);

function readProgress(folder: string): TaskProgress | undefined {
  const progress = readJson(fileIn(folder, 'progress')) as TaskProgress | undefined;
  if (progress === undefined) return undefined;
  const { prepared } = progress;
  return { ...progress, prepared: { ...prepared, names: new Set(prepared.names) } };
}

/** Undefined where there is none, or a crash of the machine left a part of it. */
function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  } catch (error) {
    if (isSystemError(error, 'ENOENT') || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
