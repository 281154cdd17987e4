import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initController } from '../../../controller/init.ts';
import { relayingEnv, relayingNode } from '../../../controller/unit.ts';
import { kompose } from '../../fleet/release.ts';
import { Child } from './child.ts';
import { freePort } from '../../fleet/free-port.ts';
import { joinInBulk } from './join-in-bulk.ts';
import type { LightHost } from './light-agent.ts';
import type { LightAgentQuestions } from './light-agents.ts';
import { LightUser } from './light-user.ts';

/** More in one process would have it do little else than collect garbage. */
export const agentsAProcess = 500;

interface LightAgents {
  readonly hosts: readonly LightHost[];
  readonly aProcess: number;
}

/** The released controller, with many light agents and one admin. */
export class LightFleet implements AsyncDisposable {
  readonly hosts: readonly LightHost[];
  readonly address: string;
  readonly #folder: string;
  readonly #token: string;
  readonly #agentsAProcess: number;
  #agents: readonly Child<LightAgentQuestions>[] = [];
  #controller: ChildProcess | undefined;
  #user: LightUser | undefined;

  private constructor(folder: string, address: string, token: string, agents: LightAgents) {
    this.#folder = folder;
    this.address = address;
    this.#token = token;
    this.hosts = agents.hosts;
    this.#agentsAProcess = agents.aProcess;
  }

  /** So many hosts have joined; nothing runs yet. */
  static async create(count: number, aProcess = agentsAProcess): Promise<LightFleet> {
    const folder = await mkdtemp(join(tmpdir(), 'kompose-light-'));
    const address = `127.0.0.1:${await freePort()}`;
    const state = join(folder, 'controller');
    const token = await initController(state, [address]);
    const names = Array.from({ length: count }, (_, at) => `host-${String(at).padStart(5, '0')}`);
    return new LightFleet(folder, address, token, { hosts: await joinInBulk(state, names), aProcess });
  }

  /** Of the controller's process. */
  get pid(): number {
    return this.#controller?.pid ?? 0;
  }

  get state(): string {
    return join(this.#folder, 'controller');
  }

  /** KOMPOSE_HOME of the released command line, where the admin is logged in. */
  async adminHome(): Promise<string> {
    const home = join(this.#folder, 'admin');
    await this.user.storeLogin(join(home, 'user'));
    return home;
  }

  /** Of the controller's log. */
  get logPath(): string {
    return join(this.#folder, 'controller.log');
  }

  get user(): LightUser {
    if (this.#user === undefined) throw new Error('the controller has not been started');
    return this.#user;
  }

  /**
   * As its unit starts it; resolves when it listens, with the Unix time of that. `program` is that of the release, or more
   * of Node's arguments before it too.
   */
  async startController(program: readonly string[] = [kompose]): Promise<number> {
    const argv = [...relayingNode, ...program, 'controller', 'serve', '--listen', this.address];
    const log = openSync(this.logPath, 'a');
    const env = { ...process.env, ...relayingEnv, KOMPOSE_HOME: this.#folder };
    const controller = spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', log] });
    closeSync(log);
    this.#controller = controller;
    await Promise.race([once(controller.stdout ?? controller, 'data'), once(controller, 'exit')]);
    if (controller.exitCode !== null) throw new Error(`the controller did not start: ${this.logPath}`);
    const nowMs = Date.now();
    const { caCertificate } = this.hosts[0]?.identity ?? { caCertificate: '' };
    this.#user ??= await LightUser.login(this.address, this.#token, caCertificate);
    return nowMs;
  }

  /** Resolves when all are linked; one process of agents after the other, so that they are no storm. */
  async startAgents(): Promise<void> {
    const parts = chunks(this.hosts, this.#agentsAProcess);
    this.#agents = parts.map(() => new Child<LightAgentQuestions>('light-agents.ts'));
    const { address } = this;
    const { root } = this.user;
    for (const [at, child] of this.#agents.entries())
      await child.ask('start', { address, root, hosts: parts[at] ?? [] });
  }

  /** Asks each process of agents. */
  askAgents<What extends 'linkedAnew' | 'hold' | 'letGo'>(
    what: What,
  ): Promise<LightAgentQuestions[What]['answer'][]> {
    return Promise.all(this.#agents.map((child) => child.ask(what, undefined)));
  }

  async stopController(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const controller = this.#controller;
    if (controller === undefined || controller.exitCode !== null) return;
    const exited = once(controller, 'exit');
    controller.kill(signal);
    await exited;
    this.#controller = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#user?.close();
    await Promise.all(this.#agents.map((child) => child.kill('SIGTERM')));
    await this.stopController();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

export function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, at) => items.slice(at * size, (at + 1) * size));
}
