import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from '../bundle.ts';
import { execa } from 'execa';
import { createServerPair } from '../../../controller/identity/authority.ts';
import { loadState } from '../../../controller/config.ts';
import { controllerTlsName } from '../../../proto/channel-options.ts';
import type { Identity } from '../../../proto/enrol.ts';
import { tlsNamePattern } from '../../../proto/trust.ts';
import { startServer, type Server } from './start-server.ts';
import type { Settings } from './settings.ts';

interface Member {
  readonly name: string;
  readonly identity: Identity;
}

/** Hosts that one process serves, where it runs with `argvPrefix` before it. */
export interface AgentProcess {
  readonly hosts: readonly Member[];
  readonly argvPrefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface PrototypeOptions {
  /** HOST:PORT to listen on. */
  readonly address: string;
  /** Of a controller of kompose, whose CA has signed all hosts' certificates: KOMPOSE_HOME/controller. */
  readonly state: string;
  readonly agents: readonly AgentProcess[];
}

/**
 * What kompose would be without all that makes it kompose: a command line in one file with a compile cache, a
 * controller and agents, by grpc-js over mutual TLS; each task is a bash. Nothing is recorded, checked, masked or kept.
 */
export class Prototype implements AsyncDisposable {
  readonly #folder: string;
  readonly #servers: Server[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** All agents are linked. */
  static async start({ address, state, agents }: PrototypeOptions): Promise<Prototype> {
    const prototype = new Prototype(await mkdtemp(join(tmpdir(), 'kompose-prototype-')));
    try {
      const { authority } = await loadState(state);
      const pair = await createServerPair(authority, [controllerTlsName, tlsNamePattern], Date.now());
      const own = { name: 'controller', identity: { ...pair, caCertificate: authority.certificate } };
      await prototype.#serve('controller', { address, identities: [own] });
      for (const [at, { hosts: identities, ...where }] of agents.entries())
        await prototype.#serve('agents', { address, identities }, { ...where, file: `agents-${at}` });
      await prototype.#build({ address, identities: agents[0]?.hosts.slice(0, 1) ?? [] });
      return prototype;
    } catch (error) {
      await prototype[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs a bash command on the first `hosts`; rejects unless all end with 0. Gives what they said. */
  async run(hosts: number, command: string): Promise<string> {
    const argv = [join(this.#folder, 'cli.mjs'), join(this.#folder, 'cli.json'), String(hosts), command];
    const { stdout } = await execa(process.execPath, argv, { stdin: 'ignore' });
    return stdout;
  }

  async #serve(
    program: 'controller' | 'agents',
    settings: Settings,
    where: Partial<AgentProcess> & { readonly file?: string } = {},
  ): Promise<void> {
    const path = join(this.#folder, `${where.file ?? program}.json`);
    await writeFile(path, JSON.stringify(settings), { mode: 0o600 });
    const source = fileURLToPath(new URL(`${program}.ts`, import.meta.url));
    const argv = [...(where.argvPrefix ?? []), process.execPath, source, path];
    const first = program === 'controller' ? 'listening' : 'connected';
    this.#servers.push(await startServer(argv, { env: where.env ?? {}, first }));
  }

  /** The command line, as a release of it would be. */
  async #build(settings: Settings): Promise<void> {
    await writeFile(join(this.#folder, 'cli.json'), JSON.stringify(settings), { mode: 0o600 });
    const entry = fileURLToPath(new URL('cli.ts', import.meta.url));
    await bundle(entry, join(this.#folder, 'bundle.mjs'));
    const cache = JSON.stringify(join(this.#folder, 'compiled'));
    const start = `import nodeModule from 'node:module';\nnodeModule.enableCompileCache(${cache});\nawait import('./bundle.mjs');\n`;
    await writeFile(join(this.#folder, 'cli.mjs'), start);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
