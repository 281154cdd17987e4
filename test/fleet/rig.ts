import { randomBytes } from 'node:crypto';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sweepDeadRigs, withRigLock } from './cleanup.ts';
import { Daemon } from './daemon.ts';
import { startEngine, stopEngine } from './engine.ts';
import { hostNamed, type FleetHost, type Rig } from './fleet.ts';
import { busyboxImage, type Image } from './images.ts';
import { ensureEngine, type Engine } from './install.ts';
import { loadImage } from './load-image.ts';
import { cutLink, freeSubnet, healLink, insideNetns, setUpNetwork } from './network.ts';
import { identify } from './process-identity.ts';
import { rigVariable } from './rig-processes.ts';
import { planRig, readState, rigFolders, writeState, type HostState, type RigState } from './rig-state.ts';
import { run } from './run.ts';

export interface RigOptions {
  /** Names of the hosts: lower case letters, digits, dashes; up to 30 characters. */
  hosts: readonly string[];
  /** Loaded into each engine beside busybox. */
  images?: readonly Image[];
  /** An abort ends the start, which then leaves nothing. It does not touch a rig that is up. */
  signal?: AbortSignal;
  /** Hears one line before each step that takes long. */
  report?: (line: string) => void;
}

/**
 * Starts real Docker hosts on this machine: each with its own network, engine, containers and images
 * (`busybox:local`, `alpine:latest`). Installs the engine where it is missing: see {@link ensureEngine}.
 *
 * INVARIANT: whatever is made is told in the rig's state file before. Its keeper, a process of its own, cleans up
 * when the owner lets go of it: by `stop`, at the end of the process, after a throw, SIGINT, even SIGKILL. So
 * this installs no signal handlers, and an owner that is killed needs about a second until all is gone. Should
 * the keeper be killed as well, the next start of any rig cleans up.
 */
export async function startRig(options: RigOptions): Promise<Rig> {
  const { signal = new AbortController().signal, report = () => {} } = options;
  refuseBadNames(options.hosts);
  const engine = await ensureEngine({ report, signal });
  const images = [await busyboxImage(), ...(options.images ?? [])];
  const rig = await withRigLock(() => claim(options.hosts, engine), signal);
  try {
    await withRigLock(() => rig.setUp(signal), signal);
    await rig.startAll(images, signal);
    return rig;
  } catch (error) {
    await rig.stop();
    signal.throwIfAborted(); // the first cause, not the command that it ended
    throw error;
  }
}

/** A name becomes part of a socket's path, which is short, and of a network namespace's name. */
function refuseBadNames(names: readonly string[]): void {
  const bad = names.find(
    (name, index) => !/^[a-z0-9][a-z0-9-]{0,29}$/.test(name) || names.indexOf(name) !== index,
  );
  if (bad !== undefined) throw new Error(`"${bad}" cannot be the name of a host, or is there twice`);
}

/** Takes a name and a network, on record, with a keeper for what will be made. Call it under the rig lock. */
async function claim(hosts: readonly string[], engine: Engine): Promise<NamespaceRig> {
  await sweepDeadRigs();
  const owner = identify(process.pid);
  if (owner === undefined) throw new Error('/proc does not tell when this process started');
  const states = await Promise.all((await rigFolders()).map(readState));
  const subnet = await freeSubnet(
    Math.random,
    states.flatMap((state) => state?.address ?? []),
  );
  const state = planRig(randomBytes(3).toString('hex'), subnet, hosts, owner);
  await mkdir(state.folder);
  await writeState(state);
  return new NamespaceRig(state, engine, keep(state));
}

function keep(state: RigState): Daemon {
  const { PATH = '', NODE_COMPILE_CACHE } = process.env;
  const program = fileURLToPath(new URL('keeper.ts', import.meta.url));
  return new Daemon([process.execPath, program, state.folder], {
    log: join(state.folder, 'keeper.log'),
    env: { PATH, ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }) },
  });
}

async function makeHostFolder(host: HostState, engine: Engine): Promise<void> {
  await mkdir(join(host.folder, 'docker-config'), { recursive: true });
  await mkdir(join(host.folder, 'scratch'));
  await writeFile(join(host.folder, 'daemon.json'), '{}');
  await symlink(engine.plugins, join(host.folder, 'docker-config', 'cli-plugins'));
}

class NamespaceRig implements Rig {
  readonly hosts: readonly FleetHost[];
  readonly controllerAddress: string;
  readonly #state: RigState;
  readonly #engine: Engine;
  readonly #keeper: Daemon;
  readonly #engines = new Map<string, Daemon>();

  constructor(state: RigState, engine: Engine, keeper: Daemon) {
    this.#state = state;
    this.#engine = engine;
    this.#keeper = keeper;
    this.controllerAddress = state.address;
    this.hosts = state.hosts.map((host) => describe(state, host, engine));
  }

  /** Call it under the rig lock. */
  async setUp(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#state.hosts.map((host) => makeHostFolder(host, this.#engine)));
    await setUpNetwork(this.#state, signal);
  }

  /** Waits for all, also when one fails: nothing is being started any more when this returns. */
  async startAll(images: readonly Image[], signal: AbortSignal): Promise<void> {
    const results = await Promise.allSettled(
      this.hosts.map(async ({ name, env }) => {
        await this.startEngine(name, signal);
        await Promise.all(images.map((image) => loadImage(env, image)));
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }

  host(name: string): FleetHost {
    return hostNamed(this.hosts, name);
  }

  async docker(name: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run('docker', args, { env: this.host(name).env });
    return stdout;
  }

  async loadImage(image: Image): Promise<void> {
    await Promise.all(this.hosts.map(({ env }) => loadImage(env, image)));
  }

  async startEngine(name: string, signal = new AbortController().signal): Promise<void> {
    if (this.#engines.get(name)?.hasExited === false) return;
    const host = hostNamed(this.#state.hosts, name);
    this.#engines.set(name, await startEngine(this.#state, host, this.#engine.path, signal));
  }

  async stopEngine(name: string): Promise<void> {
    this.host(name);
    const engine = this.#engines.get(name);
    if (engine) await stopEngine(engine);
  }

  async cutLink(name: string): Promise<void> {
    await cutLink(hostNamed(this.#state.hosts, name));
  }

  async healLink(name: string): Promise<void> {
    await healLink(this.#state, hostNamed(this.#state.hosts, name));
  }

  async stop(): Promise<void> {
    this.#keeper.endInput();
    if ((await this.#keeper.exited()) === 0) return;
    throw new Error(`cleaning up after rig ${this.#state.id} failed:\n${this.#keeper.logTail()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function describe(state: RigState, host: HostState, engine: Engine): FleetHost {
  const dockerHost = `unix://${host.socket}`;
  return {
    name: host.name,
    address: host.address,
    dockerHost,
    env: {
      DOCKER_HOST: dockerHost,
      DOCKER_CONFIG: join(host.folder, 'docker-config'),
      PATH: engine.path,
      [rigVariable]: state.id,
    },
    netns: host.netns,
    argvPrefix: insideNetns(host.netns),
    folder: join(host.folder, 'scratch'),
  };
}
