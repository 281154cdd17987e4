import { setTimeout as delay } from 'node:timers/promises';
import type { OutputStream } from '../../common/task-event.ts';
import type { ActionContext } from './action.ts';
import type { ImportStep } from './database.ts';
import { emptyScript, endSessionsScript, undoScript } from './import-sql.ts';
import { scriptOptions } from './plan-database.ts';
import { ToolSession, type ToolEnd } from './run-tool.ts';
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

/** Prints `connected` if the server answers. */
const greeting = String.raw`SELECT 'connected' AS state \gset
\echo :state
`;

/** Runs the scripts of an import, none of which a stop of the task breaks off. */
export class ScriptRunner implements AsyncDisposable {
  readonly #step: ImportedDatabase;
  readonly #context: ActionContext;
  #maintenanceName = 'postgres';
  /** The session of the first script stays for the second, which need not wait for a connection then. */
  #open: PsqlSession | undefined;

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
    const session = this.#connect(name);
    const text = `${greeting}${script}`;
    // Of a template with sessions nobody can make a database.
    const attempt = await (name === 'template1' ? session.end(text) : session.run(text));
    if (attempt.printed !== '') this.#maintenanceName = name;
    if (!session.isOver) this.#open = session;
    return attempt;
  }

  /** After `begin`. */
  async run(script: string, variables: Readonly<Record<string, string>> = {}): Promise<ScriptEnd> {
    const set = Object.entries(variables).map(([name, value]) => String.raw`\set ${name} ${value}`);
    const text = [greeting, ...set, script].join('\n');
    const waiting = await this.#end(text);
    // A session that waited may have been ended meanwhile, by the server or what lies between; then nothing was done.
    const isDone = waiting?.printed.includes('connected') === true;
    return this.#tell(isDone ? waiting : await this.#connect(this.#maintenanceName).end(text));
  }

  async #end(text: string): Promise<Attempt | undefined> {
    const session = this.#open;
    this.#open = undefined;
    return session?.end(text);
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
    await this.#connect(this.#step.scratch).end(emptyScript);
  }

  async endSessions(): Promise<void> {
    await this.run(endSessionsScript);
  }

  /** Ends a session that is still open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('');
  }

  #connect(name: string): PsqlSession {
    return new PsqlSession(name, this.#step, this.#context);
  }
}

/** Ends what a script printed, in a session that goes on. */
const overMark = 'script is over';

/** psql on one database. */
class PsqlSession {
  readonly #tool: ToolSession;
  #printed = '';
  #said: Uint8Array[] = [];
  #isOver = Promise.withResolvers<undefined>();
  isOver = false;

  constructor(name: string, { database, mark, scratch }: ImportedDatabase, context: ActionContext) {
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
    const env = toolEnv(database, mark, context.env, { PGCLIENTENCODING: 'UTF8' });
    const write: ActionContext['write'] = (stream, chunk) => this.#take(stream, chunk);
    this.#tool = new ToolSession({ argv, env }, limits, { ...context, write });
  }

  #take(stream: OutputStream, chunk: Uint8Array): void {
    if (stream === 'stderr') {
      this.#said.push(chunk);
      return;
    }
    this.#printed += Buffer.from(chunk).toString();
    if (this.#printed.includes(overMark)) this.#isOver.resolve(undefined);
  }

  /** Runs a script and stays for another; an error ends the session. */
  async run(script: string): Promise<Attempt> {
    const text = [script, String.raw`\echo ${overMark}`, ''].join('\n');
    const end = await this.#tool.give(text, this.#isOver.promise);
    this.isOver = end !== undefined;
    return this.#attempt(end ?? { exitCode: 0 });
  }

  /** Runs the last script. */
  async end(script: string): Promise<Attempt> {
    const end = await this.#tool.end(script);
    this.isOver = true;
    return this.#attempt(end);
  }

  #attempt(end: ToolEnd): Attempt {
    const attempt = { ...end, said: this.#said, printed: this.#printed };
    this.#said = [];
    this.#printed = '';
    return attempt;
  }
}
