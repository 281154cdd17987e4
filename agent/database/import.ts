import { open, readFile, type FileHandle } from 'node:fs/promises';
import { sizeText } from '../../common/size-text.ts';
import type { ActionContext, ActionEnd } from './action.ts';
import type { ImportStep } from './database.ts';
import { describeFailure } from './disk-failure.ts';
import { FollowingHash } from './following-hash.ts';
import { prepareScript, recreateScript, swapScript } from './import-sql.ts';
import { tellProgress } from './progress.ts';
import { endInside, failureText, runTool, type ToolEnd } from './run-tool.ts';
import { ScriptRunner } from './script-runner.ts';
import { toolEnv } from './tools.ts';
import { noteUnfinished, readUnfinished } from './unfinished.ts';
import { StepLost } from '../tasks/kept-step.ts';

/*
 * INVARIANTS
 * - Until the swap the old database is not touched. The swap is one transaction; if it does not come about, the old
 *   database takes connections again. A stop does not break it off: it is a matter of seconds, and afterwards the new
 *   database stands.
 * - Whatever happens before, the scratch database is dropped, and what could not be dropped is known by its name and
 *   comment: the next import of the same database drops it.
 * - `inPlace` drops the old database first; from then on there is no way back.
 */

/**
 * psql reads the file itself. What a stop interrupts, also inside the container, has ended when this resolves. An import
 * that an earlier process of the agent began is gone on with, if it was restoring. Throws `StepLost`.
 */
export async function importDatabase(step: ImportStep, context: ActionContext): Promise<ActionEnd> {
  let handle: FileHandle;
  try {
    handle = await open(step.file, 'r');
  } catch (error) {
    const problem = describeFailure(error, `${step.file} cannot be read`);
    if (context.keep?.isAdopted === true) throw new StepLost(problem);
    return { exitCode: 1, error: problem };
  }
  try {
    await using scripts = new ScriptRunner(step, context);
    return await new Import(step, context, handle, scripts).run();
  } finally {
    await handle.close();
  }
}

/** Over the settings of the database and its roles: they are for the application, not for its restore. */
const restoreSettings = [
  'default_transaction_read_only=off',
  'statement_timeout=0',
  'lock_timeout=0',
  'idle_in_transaction_session_timeout=0',
];

const oldStays = 'the old database stays';

class Import {
  readonly #step: ImportStep;
  readonly #context: ActionContext;
  readonly #handle: FileHandle;
  readonly #scripts: ScriptRunner;

  constructor(step: ImportStep, context: ActionContext, handle: FileHandle, scripts: ScriptRunner) {
    this.#step = step;
    this.#context = context;
    this.#handle = handle;
    this.#scripts = scripts;
  }

  async run(): Promise<ActionEnd> {
    const { inPlace } = this.#step;
    await using hash = new FollowingHash(this.#handle, 'idle');
    hash.written();
    const failure = await (this.#context.keep?.isAdopted === true ? this.#goOn() : this.#prepare());
    if (failure !== undefined) return failure;
    const restored = await this.#restore();
    if (this.#isOver(restored)) return this.#notRestored(restored);
    if (!inPlace) {
      await this.#noteSwap();
      const swapped = await this.#scripts.run(swapScript);
      if (!swapped.printed.includes('swapped')) return this.#undo(swapped, 'closed');
      if (!swapped.printed.includes('dropped')) this.#context.notice(this.#oldLeft());
    }
    return { exitCode: 0, stands: true, dump: { path: this.#step.file, ...(await hash.finish()) } };
  }

  /** Up to where the dump can be read in; undefined if it can. */
  async #prepare(): Promise<ActionEnd | undefined> {
    await noteUnfinished(this.#step, this.#context);
    const made = await this.#scripts.begin(prepareScript);
    if (made.printed === '') return this.#failure(made, oldStays);
    if (this.#isOver(made)) return this.#undo(made);
    if (!this.#step.inPlace) return undefined;
    await this.#noteSwap();
    const recreated = await this.#scripts.run(recreateScript);
    if (recreated.exitCode !== 0) return this.#undo(recreated, 'closed');
    await noteUnfinished(this.#step, this.#context);
    return undefined;
  }

  /** What prepares it was done; psql reads the dump in, or has. */
  async #goOn(): Promise<undefined> {
    const unfinished = await readUnfinished(this.#context.workFolder);
    if (unfinished === undefined || unfinished.isSwapping === true)
      throw new StepLost('the agent was ended while it put the new database in its place');
    await this.#scripts.begin('');
  }

  #noteSwap(): Promise<void> {
    return noteUnfinished({ ...this.#step, isSwapping: true }, this.#context);
  }

  #isOver({ exitCode }: ToolEnd): boolean {
    return exitCode !== 0 || this.#context.stop.cause !== undefined;
  }

  async #restore(): Promise<ToolEnd> {
    const step = this.#step;
    const context = this.#context;
    const handle = this.#handle;
    const { startedMs } = context;
    const { size } = await handle.stat();
    const reader = context.keep?.isAdopted === true ? context.keep.stdinOfKeeper : undefined;
    const info = reader ?? `/proc/self/fdinfo/${handle.fd}`;
    const position = async () => ({ bytes: await offsetIn(info), totalBytes: size });
    const endProgress = tellProgress('restored', position, context.notice, context.now);
    const env = this.#toolEnv();
    const end = await runTool({ argv: step.argv, env, files: { stdin: handle.fd } }, context).finally(
      endProgress,
    );
    if (context.stop.cause !== undefined) await endInside(step.database, step.mark, env, context);
    else if (end.exitCode === 0) {
      const durationMs = Math.max(1, context.now() - startedMs);
      context.notice(`restored ${sizeText(size)}, ${sizeText((size * 1000) / durationMs)}/s`);
    }
    return end;
  }

  #toolEnv(): Record<string, string> {
    const { database, mark } = this.#step;
    const { env } = this.#context;
    // The swap's own commit brings all that was committed before it to the disk.
    const settings = this.#step.inPlace ? restoreSettings : [...restoreSettings, 'synchronous_commit=off'];
    const options = settings.map((setting) => `-c ${setting}`);
    const PGOPTIONS = [...(env['PGOPTIONS'] === undefined ? [] : [env['PGOPTIONS']]), ...options].join(' ');
    return toolEnv(database, mark, env, { PGOPTIONS });
  }

  async #notRestored(end: ToolEnd): Promise<ActionEnd> {
    if (!this.#step.inPlace) {
      if (this.#context.stop.cause === undefined) await this.#scripts.empty();
      return this.#undo(end);
    }
    await this.#scripts.endSessions();
    const { name } = this.#step.database;
    return this.#failure(end, `database ${name} is new and incomplete: import again`);
  }

  /** `closed`: the old database may have been closed to new sessions. */
  async #undo(end: ToolEnd, closed?: 'closed'): Promise<ActionEnd> {
    const { scratch } = this.#step;
    switch (await this.#scripts.undo(closed === 'closed')) {
      case 'dropped':
        return this.#failure(end, oldStays);
      case 'left':
        return this.#failure(end, `${oldStays}; ${scratch} could not be dropped: the next import will`);
      case 'gone':
        return this.#failure(
          end,
          closed === undefined ? oldStays : 'the new database may be in its place already',
        );
    }
  }

  #oldLeft(): string {
    return `the old database could not be dropped: it is called ${this.#step.scratch}_old until the next import`;
  }

  #failure(end: ToolEnd, meaning: string): ActionEnd {
    const { exitCode } = end;
    if (exitCode === 0) return { exitCode: 1 };
    return { exitCode, error: `${failureText('psql', end, this.#context)}; ${meaning}` };
  }
}

/** How far those are who read from an open file that they share the offset of (proc(5), fdinfo). */
async function offsetIn(info: string): Promise<number> {
  return Number(/^pos:\s*(\d+)/m.exec(await readFile(info, 'utf8'))?.[1] ?? 0);
}
