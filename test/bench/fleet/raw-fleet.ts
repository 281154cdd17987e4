import { createServerPair } from '../../../controller/identity/authority.ts';
import { loadState } from '../../../controller/config.ts';
import { controllerTlsName } from '../../../proto/channel-options.ts';
import { tlsNamePattern } from '../../../proto/trust.ts';
import { Child } from './child.ts';
import { agentsAProcess, chunks, type LightFleet } from './light-fleet.ts';
import type { LightHost } from './light-agent.ts';
import type { RawClientQuestions } from './raw-clients.ts';
import type { RawServerQuestions } from './raw-server.ts';

/** What grpc-js alone takes for as many streams, with the same certificates and as many processes. */
export class RawFleet implements AsyncDisposable {
  readonly #hosts: readonly LightHost[][];
  readonly #server: Child<RawServerQuestions>;
  readonly #clients: readonly Child<RawClientQuestions>[];
  readonly #address: string;

  private constructor(hosts: readonly LightHost[][], server: Child<RawServerQuestions>, address: string) {
    this.#hosts = hosts;
    this.#server = server;
    this.#address = address;
    this.#clients = hosts.map(() => new Child<RawClientQuestions>('raw-clients.ts'));
  }

  /** Its server listens; nobody is there yet. */
  static async create({ hosts, state }: LightFleet): Promise<RawFleet> {
    const { authority } = await loadState(state);
    const pair = await createServerPair(authority, [controllerTlsName, tlsNamePattern], Date.now());
    const server = new Child<RawServerQuestions>('raw-server.ts');
    const { privateKey: key, certificate } = pair;
    const port = await server.ask('listen', { ca: authority.certificate, key, certificate });
    return new RawFleet(chunks(hosts, agentsAProcess), server, `127.0.0.1:${port}`);
  }

  get pid(): number {
    return this.#server.pid;
  }

  /** All of them at once; gives the milliseconds until each has its answer. */
  async connect(): Promise<number> {
    const startMs = Date.now();
    const address = this.#address;
    const ends = await Promise.all(
      this.#clients.map((child, at) => child.ask('connect', { address, hosts: this.#hosts[at] ?? [] })),
    );
    return Math.max(...ends) - startMs;
  }

  fanOut(): Promise<number> {
    return this.#server.ask('fanOut', undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#server, ...this.#clients].map((child) => child.kill()));
  }
}
