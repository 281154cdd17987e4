import { once } from 'node:events';
import { createServer } from 'node:net';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { removeScratchFolders } from '../../agent/tasks/scratch-folder.ts';
import type { FleetHost, Rig } from './fleet.ts';
import { kompose } from './release.ts';

/** What a run of the command line came to. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Another user's KOMPOSE_HOME; default: the admin's. */
  readonly home?: string;
  readonly input?: string;
  readonly timeoutMs?: number;
}

export interface FleetOptions {
  readonly rig: Rig;
  /** Labels by host. */
  readonly labels?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Laid over the environment of the controller. */
  readonly controllerEnv?: Readonly<Record<string, string>>;
  /** Laid over the environment of each agent. */
  readonly agentEnv?: Readonly<Record<string, string>>;
  /** Where the programs' logs go: nowhere, to this process's stderr, or to files in `logs/` of the fleet's folder. */
  readonly logs?: 'ignore' | 'inherit' | 'files';
}

/** As much of a served program as is needed to end it. */
type Server = PromiseLike<{ exitCode?: number }> & {
  readonly pid?: number | undefined;
  kill(signal: NodeJS.Signals): boolean;
};

/**
 * kompose on a rig: a controller on this machine, an agent inside each host, an admin who is logged in. All of them
 * are the real programs, run from their sources. `stop` ends them; the rig is the caller's.
 */
export class KomposeFleet implements AsyncDisposable {
  readonly rig: Rig;
  readonly folder: string;
  readonly address: string;
  readonly #options: FleetOptions;
  readonly #servers = new Map<string, Server>();

  static async start(options: FleetOptions): Promise<KomposeFleet> {
    const folder = await mkdtemp(join(tmpdir(), 'kompose-fleet-'));
    const address = `${options.rig.controllerAddress}:${await freePort(options.rig.controllerAddress)}`;
    const fleet = new KomposeFleet(options, folder, address);
    try {
      await fleet.#setUp();
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  private constructor(options: FleetOptions, folder: string, address: string) {
    this.#options = options;
    this.rig = options.rig;
    this.folder = folder;
    this.address = address;
  }

  /** The admin's KOMPOSE_HOME. */
  get home(): string {
    return join(this.folder, 'admin');
  }

  /** The stacks root of a host. */
  stacks(host: string): string {
    return join(this.rig.host(host).folder, 'stacks');
  }

  /** Writes files of a stack, by their paths inside it; hooks.sh becomes executable. Resolves when it is known. */
  async writeStack(host: string, stack: string, files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      const full = join(this.stacks(host), stack, path);
      await mkdir(dirname(full), { recursive: true, mode: 0o755 });
      await writeFile(full, content, { mode: path.endsWith('.sh') ? 0o750 : 0o644 });
    }
  }

  /** Runs the command line to its end. Never rejects for an exit code. */
  async kompose(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const { exitCode, stdout, stderr } = await this.spawnKompose(args, options);
    return { exitCode: exitCode ?? 128, stdout, stderr };
  }

  /** Starts the command line, as a process to be watched and signalled. */
  spawnKompose(args: readonly string[], { env, home, input, timeoutMs = 60_000 }: CommandOptions = {}) {
    return execa(process.execPath, [kompose, ...args], {
      env: { ...baseEnv(), KOMPOSE_HOME: home ?? this.home, ...env },
      extendEnv: false,
      reject: false,
      stripFinalNewline: false,
      timeout: timeoutMs,
      ...(input === undefined ? { stdin: 'ignore' } : { input }),
    });
  }

  async startController(): Promise<void> {
    const env = { ...this.#homeEnv('controller'), ...this.#options.controllerEnv };
    await this.#serve(
      'controller',
      [],
      ['controller', 'serve', '--listen', this.address],
      env,
      'listening on',
    );
  }

  async startAgent(name: string): Promise<void> {
    const host = this.rig.host(name);
    await this.#serve(name, host.argvPrefix, ['agent', 'serve'], this.#agentEnv(host), 'connected to');
  }

  /** Of the controller's process, or of a host's agent's. */
  pid(who: string): number {
    const pid = this.#servers.get(who)?.pid;
    if (pid === undefined) throw new Error(`${who} does not run`);
    return pid;
  }

  /** `controller`, or a host's name for its agent. Resolves when it is gone. */
  async kill(who: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<{ exitCode?: number | undefined }> {
    const server = this.#servers.get(who);
    this.#servers.delete(who);
    server?.kill(signal);
    return { exitCode: (await server)?.exitCode };
  }

  /** A token for `kompose login` or `agent join`. */
  async token(...args: string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.kompose(['tokens', 'create', ...args]);
    if (exitCode !== 0) throw new Error(`tokens create: ${stderr}`);
    return stdout.trim();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#servers.keys()].map((who) => this.kill(who, 'SIGKILL')));
    await this.#removeScratch();
    await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #setUp(): Promise<void> {
    const init = ['controller', 'init', '--address', this.address];
    const { stdout } = await this.#must(init, this.#homeEnv('controller'));
    await this.startController();
    await this.#must(['login', stdout.trim()], this.#homeEnv('admin'));
    const token = await this.token('--role', 'agent', '--uses', String(this.rig.hosts.length));
    await Promise.all(this.rig.hosts.map((host) => this.#join(host, token)));
  }

  async #join(host: FleetHost, token: string): Promise<void> {
    await mkdir(this.stacks(host.name), { recursive: true });
    const labels = Object.entries(this.#options.labels?.[host.name] ?? {}).flatMap(([k, v]) => [
      '--label',
      `${k}=${v}`,
    ]);
    const argv = ['agent', 'join', token, '--name', host.name, '--stacks', this.stacks(host.name), ...labels];
    await this.#must(argv, this.#agentEnv(host), host.argvPrefix);
    await this.startAgent(host.name);
  }

  async #must(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    prefix: readonly string[] = [],
  ) {
    const [file = '', ...rest] = [...prefix, process.execPath, kompose, ...args];
    return execa(file, rest, { env, extendEnv: false, stdin: 'ignore' });
  }

  async #serve(
    who: string,
    prefix: readonly string[],
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    firstWords: string,
  ): Promise<void> {
    const [file = '', ...rest] = [...prefix, process.execPath, kompose, ...args];
    const server = execa(file, rest, {
      env,
      extendEnv: false,
      reject: false,
      buffer: false,
      stdin: 'ignore',
      stderr: await this.#logsOf(who),
      cleanup: true,
    });
    this.#servers.set(who, server);
    const lines = createInterface({ input: server.stdout });
    const line = once(lines, 'line', { signal: AbortSignal.timeout(30_000) });
    const [first] = await Promise.race([line, server.then(({ exitCode }) => [`it ended with ${exitCode}`])]);
    if (!String(first).startsWith(firstWords)) throw new Error(`${who} did not come up: ${String(first)}`);
  }

  /** What agents that were killed in the middle of a task left in memory. */
  async #removeScratch(): Promise<void> {
    for (const { name } of this.rig.hosts) {
      const tasks = join(this.folder, `agent-${name}`, 'agent', 'tasks');
      await Promise.all(
        (await readdir(tasks).catch(() => [])).map((task) => removeScratchFolders(task, join(tasks, task))),
      );
    }
  }

  async #logsOf(who: string): Promise<'ignore' | 'inherit' | { file: string; append: true }> {
    const { logs = 'ignore' } = this.#options;
    if (logs !== 'files') return logs;
    await mkdir(join(this.folder, 'logs'), { recursive: true });
    return { file: join(this.folder, 'logs', `${who}.log`), append: true };
  }

  #homeEnv(name: string): Record<string, string> {
    return { ...baseEnv(), KOMPOSE_HOME: join(this.folder, name) };
  }

  #agentEnv(host: FleetHost): Record<string, string> {
    return { ...this.#homeEnv(`agent-${host.name}`), ...host.env, ...this.#options.agentEnv };
  }
}

function baseEnv(): Record<string, string> {
  const { PATH = '', HOME = '/root', TMPDIR } = process.env;
  return { PATH, HOME, LANG: 'C.UTF-8', ...(TMPDIR === undefined ? {} : { TMPDIR }) };
}

/** A port of `address` that nobody listens on now. */
async function freePort(address: string): Promise<number> {
  const server = createServer().listen(0, address);
  await once(server, 'listening');
  const bound = server.address();
  server.close();
  await once(server, 'close');
  if (bound === null || typeof bound === 'string') throw new Error('a listening socket has no port');
  return bound.port;
}
