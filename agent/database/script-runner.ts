import { setTimeout as delay } from 'node:timers/promises';
import type { ActionContext } from './action.ts';
import type { ImportStep } from './database.ts';
import { endSessionsScript, undoScript } from './import-sql.ts';
import { scriptOptions } from './plan-database.ts';
import { runToolToItsEnd, type ToolEnd } from './run-tool.ts';
import { toolArgv, toolEnv } from './tools.ts';

/** A script is short, but CREATE and DROP DATABASE wait for a checkpoint, and that for the disk. */
const limits = { limitMs: 10 * 60_000, stoppedLimitMs: 30_000 };
/** While a server restarts after a crash. */
const undoAttempts = 5;
const undoPauseMs = 3000;

/** What a script wrote; all that it prints on stdout is that it began. */
type Said = Parameters<ActionContext['write']>[];

/** Runs the scripts of an import, none of which a stop of the task breaks off. */
export class ScriptRunner {
  readonly #step: ImportStep;
  readonly #context: ActionContext;
  #maintenanceName = 'postgres';

  constructor(step: ImportStep, context: ActionContext) {
    this.#step = step;
    this.#context = context;
  }

  /**
   * Runs an import's first script, on one of the databases that every server has: the others are renamed while it
   * stands there. Without a connection to any, it ends as on the first of them.
   */
  async begin(script: string): Promise<ToolEnd & { readonly isConnected: boolean }> {
    const names = ['postgres', 'template1'].filter((name) => name !== this.#step.database.name);
    let tried: { end: ToolEnd; said: Said } | undefined;
    for (const name of names) {
      const said: Said = [];
      const context: ActionContext = { ...this.#context, write: (...chunk) => void said.push(chunk) };
      const end = await this.#runOn(name, `\\echo connected\n${script}`, {}, context);
      const isConnected = said.some(([stream]) => stream === 'stdout');
      if (isConnected) {
        this.#maintenanceName = name;
        await this.#tell(said);
        return { ...end, isConnected };
      }
      tried ??= { end, said };
    }
    await this.#tell(tried?.said ?? []);
    return { ...(tried?.end ?? { exitCode: 1 }), isConnected: false };
  }

  async #tell(said: Said): Promise<void> {
    for (const [stream, chunk] of said) if (stream === 'stderr') await this.#context.write(stream, chunk);
  }

  /** After `begin`. */
  run(script: string, variables: Readonly<Record<string, string>> = {}): Promise<ToolEnd> {
    return this.#runOn(this.#maintenanceName, script, variables, this.#context);
  }

  /** Drops the scratch database, and opens the old one if the import closed it. Says whether that is done. */
  async undo(isClosed: boolean): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      const { exitCode } = await this.run(undoScript, { closed: String(isClosed) });
      const isLast = attempt === undoAttempts || (attempt === 2 && this.#context.stop.cause !== undefined);
      if (exitCode === 0 || isLast) return exitCode === 0;
      await delay(undoPauseMs);
    }
  }

  async endSessions(): Promise<void> {
    await this.run(endSessionsScript);
  }

  #runOn(
    name: string,
    script: string,
    variables: Readonly<Record<string, string>>,
    context: ActionContext,
  ): Promise<ToolEnd> {
    const { database, mark, scratch } = this.#step;
    const known = {
      target: database.name,
      scratch,
      old: `${scratch}_old`,
      marker: `kompose: import into ${database.name}`,
      mark,
      ...variables,
    };
    const set = Object.entries(known).map(([variable, value]) => `--set=${variable}=${value}`);
    const options = [...scriptOptions, ...set, '--file=-'];
    const argv = toolArgv(database, { program: 'psql', name, options, variables: ['PGCLIENTENCODING'] });
    const env = toolEnv(database, mark, this.#context.env, { PGCLIENTENCODING: 'UTF8' });
    return runToolToItsEnd({ argv, env, input: script }, limits, context);
  }
}
