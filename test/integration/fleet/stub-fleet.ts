import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { freePort } from '../../fleet/free-port.ts';
import { until } from '../../until.ts';
import { CliProcess } from '../cli/cli-process.ts';

/** Stands in for docker: `docker compose COMMAND ARGS…` runs the stack's `action.sh`, if it has one. */
const stubDocker = `#!/bin/bash
if [[ $1 == version ]]; then echo 28.1.0; exit; fi
if [[ $1 == ps ]]; then [[ -e "$DOCKER_STUB_PS" ]] && cat "$DOCKER_STUB_PS"; exit 0; fi
[[ $1 == compose ]] || exit 64
shift
if [[ $1 == version ]]; then echo 2.40.0; exit; fi
[[ -e action.sh ]] || exit 0
exec bash action.sh "$@"
`;

/** On a busy machine, for what takes seconds. */
const longestMs = 120_000;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real programs on this machine, with a program in docker's place: a controller, agents, an admin. */
export class StubFleet {
  readonly folder: string;
  readonly address: string;
  /** What the programs find in their environment on top. */
  readonly env: Record<string, string> = {};
  /** Likewise, those with the home of that name alone. */
  readonly envOf: Record<string, Readonly<Record<string, string>>> = {};
  /** Node's arguments of those with the home of that name. */
  readonly nodeArgsOf: Record<string, readonly string[]> = {};
  readonly #agents = new Map<string, CliProcess>();
  #controller: CliProcess | undefined;

  private constructor(folder: string, address: string) {
    this.folder = folder;
    this.address = address;
  }

  /** Each host has the stack `sexy`. The caller stops it. */
  static async start(...hosts: string[]): Promise<StubFleet> {
    const folder = await mkdtemp(join(tmpdir(), 'kompose-stub-'));
    const fleet = new StubFleet(folder, `127.0.0.1:${await freePort()}`);
    try {
      await fleet.#setUp(hosts);
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  async #setUp(hosts: readonly string[]): Promise<void> {
    const { folder } = this;
    await mkdir(join(folder, 'bin'));
    await writeFile(join(folder, 'bin/docker'), stubDocker, { mode: 0o755 });
    const init = await this.run('controller', ['controller', 'init', '--address', this.address]);
    await this.startController();
    await this.must('login', init.stdout.trim());
    const uses = String(Math.max(1, hosts.length));
    const token = await this.must('tokens', 'create', '--role', 'agent', '--uses', uses);
    await Promise.all(hosts.map((name) => this.#join(name, token.trim())));
  }

  /** The admin's command line. */
  kompose(...args: string[]): Promise<Ended> {
    return this.run('admin', args);
  }

  /** What it prints on stdout. Throws unless it ends with 0. */
  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.kompose(...args);
    if (code !== 0) throw new Error(`kompose ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** What it prints with `-o json`, whatever its exit code. */
  async objects(...args: string[]): Promise<Record<string, unknown>[]> {
    const { stdout } = await this.kompose('-o', 'json', ...args);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Any of the programs, with the home of that name. */
  async run(home: string, args: readonly string[], input?: string): Promise<Ended> {
    const cli = this.spawn(home, args, input);
    return { code: await cli.ended, stdout: cli.stdout, stderr: cli.stderr };
  }

  spawn(home: string, args: readonly string[], input?: string): CliProcess {
    return new CliProcess(this.home(home), args, this.#env(home), input, this.nodeArgsOf[home]);
  }

  /** KOMPOSE_HOME of `controller`, `admin` or a host. */
  home(name: string): string {
    return join(this.folder, name);
  }

  stacks(host: string): string {
    return join(this.folder, 'stacks', host);
  }

  async writeStack(host: string, stack: string, files: Readonly<Record<string, string>> = {}): Promise<void> {
    for (const [path, text] of Object.entries({ 'compose.yaml': 'services: {}\n', ...files })) {
      const full = join(this.stacks(host), stack, path);
      await mkdir(dirname(full), { recursive: true });
      await writeFile(full, text, { mode: path.endsWith('.sh') ? 0o750 : 0o644 });
    }
  }

  /** Asks the fleet until something holds; rejects with `what` when that took too long. */
  until(what: string, holds: () => Promise<boolean>): Promise<void> {
    return until(what, holds, longestMs);
  }

  /** Waits until the controller knows of these stacks, as `host:stack`. */
  async untilKnown(...targets: string[]): Promise<void> {
    await this.until(`the controller knows ${targets.join()}`, async () => {
      const rows = await this.objects('stacks');
      const known = new Set(rows.map(({ host, stack }) => `${String(host)}:${String(stack)}`));
      return targets.every((target) => known.has(target));
    });
  }

  get controllerPid(): number {
    return this.#controller?.child.pid ?? 0;
  }

  /** Of a host's agent; 0 while there is none. */
  agentPid(host: string): number {
    return this.#agents.get(host)?.child.pid ?? 0;
  }

  async startController(): Promise<void> {
    this.#controller = this.spawn('controller', ['controller', 'serve', '--listen', this.address]);
    await this.#controller.shows('stdout', 'listening on');
  }

  /** Waits until the controller has the host's agent back. */
  async untilOnline(host: string): Promise<void> {
    await this.until(`${host} is online`, () => this.#isOnline(host));
  }

  async stopController(): Promise<void> {
    this.#controller?.kill('SIGKILL');
    await this.#controller?.ended;
  }

  async startAgent(host: string): Promise<void> {
    const agent = this.spawn(host, ['agent', 'serve']);
    this.#agents.set(host, agent);
    await agent.shows('stdout', 'connected to');
  }

  /** Resolves once the controller knows that it is away. */
  async stopAgent(host: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#agents.get(host)?.kill(signal);
    await this.#agents.get(host)?.ended;
    this.#agents.delete(host);
    await this.until(`${host} is offline`, async () => !(await this.#isOnline(host)));
  }

  async #isOnline(host: string): Promise<boolean> {
    return (await this.objects('hosts', 'show', host))[0]?.['online'] === true;
  }

  async #join(host: string, token: string): Promise<void> {
    await this.writeStack(host, 'sexy');
    const args = ['agent', 'join', token, '--name', host, '--stacks', this.stacks(host)];
    const { code, stderr } = await this.run(host, args);
    if (code !== 0) throw new Error(`${host} could not join: ${stderr}`);
    await this.startAgent(host);
  }

  async stop(): Promise<void> {
    const programs = [
      ...this.#agents.values(),
      ...(this.#controller === undefined ? [] : [this.#controller]),
    ];
    for (const program of programs) program.kill('SIGKILL');
    await Promise.all(programs.map(({ ended }) => ended));
    await rm(this.folder, { recursive: true, force: true });
  }

  /** What `docker ps` of a host prints is in its file `ps`. */
  #env(home: string): Record<string, string> {
    const path = `${join(this.folder, 'bin')}:${process.env['PATH'] ?? ''}`;
    return {
      PATH: path,
      HOME: this.folder,
      // What was compiled for one of these fleets serves the next: the programs would begin without, in a home of their own.
      XDG_CACHE_HOME: join(homedir(), '.cache'),
      DOCKER_STUB_PS: join(this.folder, `${home}.ps`),
      ...this.env,
      ...this.envOf[home],
    };
  }
}
