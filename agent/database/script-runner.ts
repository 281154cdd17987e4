import { setTimeout as delay } from 'node:timers/promises';
import type { ActionContext } from './action.ts';
import type { ImportStep } from './database.ts';
import { emptyScript, endSessionsScript, undoScript } from './import-sql.ts';
import { scriptOptions } from './plan-database.ts';
import { runToolToItsEnd, type ToolEnd } from './run-tool.ts';
import { toolArgv, toolEnv } from './tools.ts';

/** A script is short, but CREATE and DROP DATABASE wait for a checkpoint, and that for the disk. */
const limits = { limitMs: 10 * 60_000, stoppedLimitMs: 30_000 };
/** While a server restarts after a crash. */
const undoAttempts = 5;
const undoPauseMs = 3000;

/** What a script printed on stdout is for the import to read, not for the user. */
export interface ScriptEnd extends ToolEnd {
  readonly printed: string;
}

type ImportedDatabase = Pick<ImportStep, 'database' | 'mark' | 'scratch'>;

type Write = (chunk: Uint8Array) => void | Promise<void>;

/** Runs the scripts of an import, none of which a stop of the task breaks off. */
export class ScriptRunner {
  readonly #step: ImportedDatabase;
  readonly #context: ActionContext;
  #maintenanceName = 'postgres';

  constructor(step: ImportedDatabase, context: ActionContext) {
    this.#step = step;
    this.#context = context;
  }

  /**
   * Runs an import's first script, on one of the databases that every server has: the others are renamed while it
   * stands there. Without a connection to any, it ends as on the first of them, and has printed nothing.
   */
  async begin(script: string): Promise<ScriptEnd> {
    const [name = 'postgres', other] = ['postgres', 'template1'].filter(
      (each) => each !== this.#step.database.name,
    );
    const first = await this.#try(name, script);
    const second = first.printed === '' && other !== undefined ? await this.#try(other, script) : first;
    const { said, ...end } = second.printed === '' ? first : second;
    for (const chunk of said) await this.#context.write('stderr', chunk);
    return end;
  }

  async #try(name: string, script: string): Promise<ScriptEnd & { said: Uint8Array[] }> {
    const said: Uint8Array[] = [];
    const end = await this.#runOn(name, `\\echo connected\n${script}`, {}, (chunk) => void said.push(chunk));
    if (end.printed !== '') this.#maintenanceName = name;
    return { ...end, said };
  }

  /** After `begin`. */
  run(script: string, variables: Readonly<Record<string, string>> = {}): Promise<ScriptEnd> {
    const write: Write = (chunk) => this.#context.write('stderr', chunk);
    return this.#runOn(this.#maintenanceName, script, variables, write);
  }

  /**
   * Drops the scratch database, and opens the old one if the import closed it. Says whether the scratch database was
   * dropped, was there no more, or is left.
   */
  async undo(isClosed: boolean): Promise<'dropped' | 'gone' | 'left'> {
    for (let attempt = 1; ; attempt++) {
      const { exitCode, printed } = await this.run(undoScript, { closed: String(isClosed) });
      if (exitCode === 0) return printed.includes('gone') ? 'gone' : 'dropped';
      if (attempt === undoAttempts || (attempt === 2 && this.#context.stop.cause !== undefined))
        return 'left';
      await delay(undoPauseMs);
    }
  }

  /** Makes room before `undo`: see the script. What hinders it hinders that too, which tells of it. */
  async empty(): Promise<void> {
    await this.#runOn(this.#step.scratch, emptyScript, {}, () => undefined);
  }

  async endSessions(): Promise<void> {
    await this.run(endSessionsScript);
  }

  async #runOn(
    name: string,
    script: string,
    variables: Readonly<Record<string, string>>,
    onStderr: Write,
  ): Promise<ScriptEnd> {
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
    let printed = '';
    const write: ActionContext['write'] = (stream, chunk) => {
      if (stream === 'stderr') return onStderr(chunk);
      printed += Buffer.from(chunk).toString();
    };
    const end = await runToolToItsEnd({ argv, env, input: script }, limits, { ...this.#context, write });
    return { ...end, printed };
  }
}
