import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostNamed, type FleetHost, type Rig } from './fleet.ts';
import { busyboxImage, type Image } from './images.ts';
import { loadMissing, removeTags } from './load-image.ts';
import type { RigOptions } from './rig.ts';
import { run } from './run.ts';

/**
 * Hosts that share the engine which the docker client reaches already, for a machine where we are not root. What
 * runs on them is the caller's to remove; `stop` removes the images that were added, and the folders.
 */
export async function sharedEngineRig(options: RigOptions): Promise<Rig> {
  await requireEngine();
  const folder = await mkdtemp(join(tmpdir(), 'kompose-rig-'));
  const rig = new SharedRig(folder, options.hosts);
  try {
    await Promise.all(rig.hosts.map((host) => mkdir(host.folder)));
    const images = [await busyboxImage(), ...(options.images ?? [])];
    await Promise.all(images.map((image) => rig.loadImage(image)));
    options.signal?.throwIfAborted();
    return rig;
  } catch (error) {
    await rig.stop();
    throw error;
  }
}

async function requireEngine(): Promise<void> {
  await run('docker', ['version']);
  const { exitCode } = await run('docker', ['compose', 'version'], { reject: false });
  if (exitCode !== 0) throw new Error('docker has no plugin "compose" (v2): package docker-compose-plugin');
}

class SharedRig implements Rig {
  readonly hosts: readonly FleetHost[];
  readonly controllerAddress = '127.0.0.1';
  readonly #folder: string;
  readonly #added: string[] = [];
  #stopped: Promise<void> | undefined;

  constructor(folder: string, names: readonly string[]) {
    this.#folder = folder;
    this.hosts = names.map((name) => ({
      name,
      address: '127.0.0.1',
      dockerHost: process.env['DOCKER_HOST'],
      env: {},
      netns: undefined,
      argvPrefix: [],
      folder: join(folder, name),
    }));
  }

  host(name: string): FleetHost {
    return hostNamed(this.hosts, name);
  }

  async docker(name: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run('docker', args, { env: this.host(name).env });
    return stdout;
  }

  async loadImage(image: Image): Promise<void> {
    this.#added.push(...(await loadMissing({}, image)));
  }

  startEngine = refuse;
  stopEngine = refuse;
  cutLink = refuse;
  healLink = refuse;

  stop(): Promise<void> {
    this.#stopped ??= this.#remove();
    return this.#stopped;
  }

  async #remove(): Promise<void> {
    await removeTags({}, this.#added);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function refuse(name: string): Promise<never> {
  throw new Error(`${name} shares its engine and its network with the other hosts and with this machine`);
}
