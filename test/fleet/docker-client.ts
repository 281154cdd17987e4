import { cp } from 'node:fs/promises';
import { arch, homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { cached, cacheFolder } from './cache.ts';
import { exists } from './exists.ts';
import { run } from './run.ts';
import { unpackPackages } from './unpacked-packages.ts';
import { programPath, which } from './which.ts';

const release = 'trixie'; // the first Debian with Compose v2: docker-compose 2.26, docker-cli 26, docker-buildx
const packages = ['docker-cli', 'docker-compose', 'docker-buildx'];
const pluginsIn = 'usr/libexec/docker/cli-plugins';
const cacheEntry = `docker-client-${release}-${arch()}`;

/** The first major version that takes `-v ./folder:/backup`, as the hooks page has it. */
const oldestClient = 23;

/** A docker client with its plugins. */
export interface DockerClient {
  /** PATH on which it is the first. */
  path: string;
  /** Folder with `docker-compose`, and `docker-buildx` where we got them ourselves. */
  plugins: string;
}

/** The machine's client and a usable Compose v2 plugin of the machine's, else what {@link fetchClient} got; or undefined. */
export async function findClient(): Promise<DockerClient | undefined> {
  const fetched = join(cacheFolder, cacheEntry);
  const isFetched = await exists(fetched);
  const isNew = await hasNewClient();
  const usable = await Promise.all(pluginFolders().map(hasComposeV2));
  const own = pluginFolders().find((_, index) => usable[index]);
  const plugins = isFetched ? join(fetched, 'cli-plugins') : own;
  if (plugins === undefined || !(isNew || isFetched)) return undefined;
  return { plugins, path: isNew ? programPath : [join(fetched, 'bin'), programPath].join(delimiter) };
}

/**
 * Gets the docker client, Compose v2 and buildx of Debian trixie into the cache folder.
 */
export async function fetchClient(signal?: AbortSignal): Promise<void> {
  await cached(cacheEntry, async (scratch) => {
    const options = { ...(signal && { cancelSignal: signal }) };
    const root = await unpackPackages(`${scratch}-apt`, { release, packages, ...(signal && { signal }) });
    await cp(join(root, pluginsIn), join(scratch, 'cli-plugins'), { recursive: true });
    await cp(join(root, 'usr/bin/docker'), join(scratch, 'bin', 'docker'));
    await run(join(scratch, 'cli-plugins', 'docker-compose'), ['version'], options);
    await run(join(scratch, 'bin', 'docker'), ['--version'], options);
  });
}

/** Where the docker client looks for plugins, its own configuration folder first. */
function pluginFolders(): readonly string[] {
  return [
    join(process.env['DOCKER_CONFIG'] ?? join(homedir(), '.docker'), 'cli-plugins'),
    '/usr/local/lib/docker/cli-plugins',
    '/usr/local/libexec/docker/cli-plugins',
    '/usr/lib/docker/cli-plugins',
    '/usr/libexec/docker/cli-plugins',
  ];
}

async function hasNewClient(): Promise<boolean> {
  const docker = await which('docker');
  if (docker === undefined) return false;
  const { stdout } = await run(docker, ['--version']);
  return Number.parseInt(/version (\d+)/.exec(stdout)?.[1] ?? '', 10) >= oldestClient;
}

async function hasComposeV2(folder: string): Promise<boolean> {
  const plugin = join(folder, 'docker-compose');
  if (!(await exists(plugin))) return false;
  const { exitCode, stdout } = await run(plugin, ['version', '--short'], { reject: false });
  return exitCode === 0 && Number.parseInt(stdout.replace(/^v/, ''), 10) >= 2;
}
