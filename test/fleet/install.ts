import { aptInstall } from './apt.ts';
import { fetchClient, findClient } from './docker-client.ts';
import { withLock } from './lock.ts';
import { readDistribution, type Distribution } from './os-release.ts';
import { missingPackages, partsFor, type Part } from './packages.ts';

/** What hosts are made of on this machine. */
export interface Engine {
  /** PATH on which dockerd, docker (23 or newer), ip and iptables are found. */
  path: string;
  /** Folder with the docker client's plugins: `docker-compose`, and `docker-buildx` where we got them ourselves. */
  plugins: string;
}

export interface EnsureOptions {
  /** Hears one line before each step that takes long. */
  report?: (line: string) => void;
  /** Ends the waiting and the download of the client; an `apt-get install` under way is let finish. */
  signal?: AbortSignal;
}

/**
 * Makes sure that an engine, the docker client, Compose v2 and a static busybox are there, and says where.
 *
 * What is there is used as it is. What is missing is installed, as root on Debian or Ubuntu; anywhere else this
 * throws, naming the packages. Callers at the same time, in several processes too, install once.
 */
export async function ensureEngine(options: EnsureOptions = {}): Promise<Engine> {
  return (await findEngine()) ?? withLock('rig-install', () => installEngine(options), options.signal);
}

/**
 * Installs the packages of `parts` that are not there, as {@link ensureEngine} does: programs that a test drives,
 * beside the engine.
 */
export async function ensureParts(parts: readonly Part[]): Promise<void> {
  if ((await missingPackages(parts)).length === 0) return;
  await withLock('rig-install', async () => {
    const packages = await missingPackages(parts);
    refuseWhereWeCannotInstall(await readDistribution(), packages);
    if (packages.length > 0) await aptInstall(packages);
  });
}

async function findEngine(): Promise<Engine | undefined> {
  const { packages, client } = await survey(await readDistribution());
  return packages.length === 0 ? client : undefined;
}

async function installEngine({ report = () => {}, signal }: EnsureOptions): Promise<Engine> {
  const distribution = await readDistribution();
  const { packages, client } = await survey(distribution);
  const composePackages = client === undefined ? composePackagesOf(distribution) : [];
  refuseWhereWeCannotInstall(distribution, [...packages, ...composePackages]);

  const wanted = [...packages, ...(hasComposeV2(distribution) ? composePackages : [])];
  const [installed, fetched] = await Promise.allSettled([
    wanted.length > 0 ? (report(`apt-get install ${wanted.join(' ')}`), aptInstall(wanted)) : undefined,
    client === undefined && !hasComposeV2(distribution)
      ? (report('fetching the docker client and Compose v2 of Debian trixie'), fetchClient(signal))
      : undefined,
  ]);
  signal?.throwIfAborted();
  if (installed.status === 'rejected') throw installed.reason;
  if (fetched.status === 'rejected') throw fetched.reason;

  const engine = await findEngine();
  if (engine === undefined) throw new Error(`${wanted.join(', ')}: installed, and still not usable`);
  return engine;
}

async function survey(distribution: Distribution) {
  const [packages, client] = await Promise.all([missingPackages(partsFor(distribution)), findClient()]);
  return { packages, client };
}

function hasComposeV2({ id, version }: Distribution): boolean {
  return id === 'ubuntu' || (id === 'debian' && version >= 13);
}

function composePackagesOf({ id }: Distribution): string[] {
  return id === 'ubuntu' ? ['docker-compose-v2', 'docker-buildx'] : ['docker-compose', 'docker-buildx'];
}

function refuseWhereWeCannotInstall({ id }: Distribution, packages: readonly string[]): void {
  const isSupported = id === 'debian' || id === 'ubuntu';
  if (packages.length === 0 || (isSupported && process.getuid?.() === 0)) return;
  const reason = isSupported ? 'not root' : 'neither Debian nor Ubuntu';
  throw new Error(`the tests need packages that are missing (${reason}): ${packages.join(', ')}`);
}
