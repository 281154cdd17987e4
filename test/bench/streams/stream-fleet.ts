import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { freePort } from '../../fleet/free-port.ts';
import { kompose } from '../../fleet/release.ts';
import { logText } from './log-text.ts';

const program = (name: string): string => join(dirname(kompose), name);

/** Of one host: its stacks all have the same secret, so that masking has something to look for. */
export const host = 'prod-1';
const compose = 'services:\n  app:\n    image: nothing\n';
const secrets = 'DB_PASSWORD=correct-horse-battery-staple\n';

export interface StreamFleetOptions {
  readonly stacks?: readonly string[];
  /** What agents and users dial is not what the controller listens on: how to come from one to the other. */
  readonly through?: (listening: string) => Promise<string>;
  /** Node's arguments before a program, `--cpu-prof` or so. */
  readonly nodeArgs?: Readonly<Partial<Record<'controller' | 'agent' | 'client', readonly string[]>>>;
}

/**
 * The released controller and one released agent as their units start them, and the released command line, on this
 * machine and with its loopback addresses. There is no engine: the agent's `docker` is a script that prints. `docker compose
 * logs FILE` is `cat FILE`, in the folder that `text` writes to.
 */
export class StreamFleet implements AsyncDisposable {
  readonly folder: string;
  readonly #options: StreamFleetOptions;
  readonly #text: string;
  #controller: ChildProcess | undefined;
  #agent: ChildProcess | undefined;

  private constructor(folder: string, text: string, options: StreamFleetOptions) {
    this.folder = folder;
    this.#text = text;
    this.#options = options;
  }

  static async start(options: StreamFleetOptions = {}): Promise<StreamFleet> {
    const folder = await mkdtemp(join(tmpdir(), 'kompose-stream-'));
    const text = await mkdtemp('/dev/shm/kompose-text-');
    const fleet = new StreamFleet(folder, text, options);
    try {
      await fleet.#setUp();
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  get controllerPid(): number {
    return this.#controller?.pid ?? 0;
  }

  get agentPid(): number {
    return this.#agent?.pid ?? 0;
  }

  /** Of the controller. */
  get state(): string {
    return join(this.folder, 'controller', 'controller');
  }

  /** Of the agent. */
  get agentState(): string {
    return join(this.folder, 'agent', 'agent');
  }

  /** Makes a text of so many bytes to be printed; gives what to call it in `logs`. */
  async text(bytes: number): Promise<string> {
    const name = String(bytes);
    const path = join(this.#text, name);
    if (!existsSync(path)) await writeFile(path, logText(bytes));
    return name;
  }

  /** A client, to be watched and signalled; its stdout goes to nowhere unless something else is said. */
  client(args: readonly string[], stdio: StdioOptions = ['ignore', openNowhere(), 'pipe']): ChildProcess {
    const argv = [...(this.#options.nodeArgs?.client ?? []), kompose, ...args];
    return spawn(process.execPath, argv, { env: this.#env('admin'), stdio, cwd: this.folder });
  }

  /** What it takes to have a client follow `logs` to their end; gives milliseconds. Throws where it does not succeed. */
  async follow(pattern: string, file: string): Promise<number> {
    const startMs = performance.now();
    await ended(this.client([pattern, 'logs', file]));
    return performance.now() - startMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of [this.#agent, this.#controller]) await stop(each);
    for (const folder of [this.folder, this.#text]) await rm(folder, { recursive: true, force: true });
  }

  async #setUp(): Promise<void> {
    const listen = `127.0.0.1:${await freePort()}`;
    const address = (await this.#options.through?.(listen)) ?? listen;
    await this.#writeHost();
    const token = await this.#ask('controller', 'kompose-controller.js', ['init', '--address', address]);
    this.#controller = await this.#serve('controller', ['--listen', listen]);
    await this.#ask('admin', 'kompose.js', ['login', token]);
    const forAgent = await this.#ask('admin', 'kompose.js', ['tokens', 'create', '--role', 'agent']);
    const stacks = join(this.folder, 'stacks');
    await this.#ask('agent', 'kompose-agent.js', ['join', forAgent, '--name', host, '--stacks', stacks]);
    this.#agent = await this.#serve('agent', []);
  }

  async #writeHost(): Promise<void> {
    const bin = join(this.folder, 'bin');
    await mkdir(bin);
    const cat = `*) for file; do :; done; exec cat "${this.#text}/$file" ;;`;
    const script = ['#!/bin/sh', 'case " $* " in', '*" version "*) echo 2.40.0 ;;', cat, 'esac', ''];
    await writeFile(join(bin, 'docker'), script.join('\n'), { mode: 0o755 });
    for (const stack of this.#options.stacks ?? ['app']) {
      const folder = join(this.folder, 'stacks', stack);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'compose.yaml'), compose);
      await writeFile(join(folder, '.env'), secrets);
    }
  }

  /** What `install` tells systemd; no word of it has a blank here. */
  async #unit(who: 'controller' | 'agent'): Promise<{ argv: string[]; env: Record<string, string> }> {
    const unit = await this.#ask(who, `kompose-${who}.js`, ['install', '--print']);
    const argv = /^ExecStart=(.*)$/m.exec(unit)?.[1]?.split(' ') ?? [];
    const lines = [...unit.matchAll(/^Environment=([^=]+)=(.*)$/gm)];
    return { argv, env: Object.fromEntries(lines.map(([, name = '', value = '']) => [name, value])) };
  }

  #env(who: 'controller' | 'agent' | 'admin'): Record<string, string> {
    const path = process.env['PATH'] ?? '';
    const PATH = who === 'agent' ? `${join(this.folder, 'bin')}:${path}` : path;
    return { KOMPOSE_HOME: join(this.folder, who), HOME: this.folder, PATH };
  }

  async #ask(who: 'controller' | 'agent' | 'admin', file: string, args: readonly string[]): Promise<string> {
    const options = { env: this.#env(who), extendEnv: false, cwd: this.folder, stdin: 'ignore' } as const;
    return (await execa(process.execPath, [program(file), ...args], options)).stdout.trim();
  }

  /** As its unit starts it; resolves when it says that it serves. */
  async #serve(who: 'controller' | 'agent', more: readonly string[]): Promise<ChildProcess> {
    const { argv, env } = await this.#unit(who);
    const [file = '', ...rest] = argv;
    // Of two values of an argument Node takes the later one: those that are asked for come after the unit's.
    const at = rest.findIndex((arg) => !arg.startsWith('-'));
    const args = [...rest.toSpliced(at, 0, ...(this.#options.nodeArgs?.[who] ?? [])), ...more];
    const log = openSync(join(this.folder, `${who}.log`), 'a');
    const options = { env: { ...env, ...this.#env(who) }, cwd: this.folder };
    const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', log] as const });
    closeSync(log);
    if (child.stdout === null) throw new Error('a pipe was asked for');
    for await (const line of createInterface(child.stdout))
      if (line.startsWith(firstWords[who])) return child;
    throw new Error(`the ${who} did not start`);
  }
}

const firstWords = { controller: 'listening on', agent: 'connected to' };

function openNowhere(): number {
  nowhere ??= openSync('/dev/null', 'w');
  return nowhere;
}

let nowhere: number | undefined;

/** Resolves when a client has succeeded. */
export async function ended(client: ChildProcess): Promise<void> {
  let said = '';
  client.stderr?.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-1_000)));
  const [exitCode] = (await once(client, 'exit')) as [number | null];
  if (exitCode !== 0) throw new Error(`kompose ended with ${exitCode}: ${said}`);
}

async function stop(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
