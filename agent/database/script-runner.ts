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

/** How a script ended, with what it said on stderr, which nobody was told. */
interface Attempt extends ScriptEnd {
  readonly said: readonly Uint8Array[];
}

/** A session that waits for its script. */
interface OpenSession {
  readonly give: (script: string) => void;
  readonly ended: Promise<Attempt>;
}

/** Prints `connected` if the server answers. */
const greeting = String.raw`SELECT 'connected' AS state \gset
\echo :state
`;

/** Runs the scripts of an import, none of which a stop of the task breaks off. */
export class ScriptRunner implements AsyncDisposable {
  readonly #step: ImportedDatabase;
  readonly #context: ActionContext;
  #maintenanceName = 'postgres';
  #open: OpenSession | undefined;

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
    return this.#tell(second.printed === '' ? first : second);
  }

  async #try(name: string, script: string): Promise<Attempt> {
    const attempt = await this.#runOn(name, `${greeting}${script}`);
    if (attempt.printed !== '') this.#maintenanceName = name;
    return attempt;
  }

  /**
   * Connects for the script that is to come, so that it need not wait for that. After `begin`. Not to template1: of a
   * template with sessions nobody can make a database.
   */
  open(): void {
    if (this.#maintenanceName === 'template1') return;
    if (this.#open !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#open = { give: resolve, ended: this.#runOn(this.#maintenanceName, promise) };
  }

  /** After `begin`. */
  async run(script: string, variables: Readonly<Record<string, string>> = {}): Promise<ScriptEnd> {
    const set = Object.entries(variables).map(([name, value]) => String.raw`\set ${name} ${value}`);
    const text = [greeting, ...set, script].join('\n');
    const waiting = await this.#give(text);
    // A session that waited may have been ended meanwhile, by the server or what lies between; then nothing was done.
    const isDone = waiting?.printed.includes('connected') === true;
    return this.#tell(isDone ? waiting : await this.#runOn(this.#maintenanceName, text));
  }

  async #give(script: string): Promise<Attempt | undefined> {
    const session = this.#open;
    this.#open = undefined;
    session?.give(script);
    return session?.ended;
  }

  async #tell({ said, ...end }: Attempt): Promise<ScriptEnd> {
    for (const chunk of said) await this.#context.write('stderr', chunk);
    return end;
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
    await this.#runOn(this.#step.scratch, emptyScript);
  }

  async endSessions(): Promise<void> {
    await this.run(endSessionsScript);
  }

  /** Ends a session that is still open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#give('');
  }

  async #runOn(name: string, script: string | Promise<string>): Promise<Attempt> {
    const { database, mark, scratch } = this.#step;
    const known = {
      target: database.name,
      scratch,
      old: `${scratch}_old`,
      marker: `kompose: import into ${database.name}`,
      mark,
    };
    const set = Object.entries(known).map(([variable, value]) => `--set=${variable}=${value}`);
    const options = [...scriptOptions, ...set, '--file=-'];
    const argv = toolArgv(database, { program: 'psql', name, options, variables: ['PGCLIENTENCODING'] });
    const env = toolEnv(database, mark, this.#context.env, { PGCLIENTENCODING: 'UTF8' });
    const said: Uint8Array[] = [];
    let printed = '';
    const write: ActionContext['write'] = (stream, chunk) => {
      if (stream === 'stderr') said.push(chunk);
      else printed += Buffer.from(chunk).toString();
    };
    const end = await runToolToItsEnd({ argv, env, input: script }, limits, { ...this.#context, write });
    return { ...end, said, printed };
  }
}
