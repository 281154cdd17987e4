import { readdir, readFile, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { dockerLines, jsonLines } from '../e2e/support.ts';
import { hosts } from './stacks.ts';

/** What the sequence left behind that nobody asked for, a line each; call it when every stack is down. */
export async function leftovers(fleet: KomposeFleet): Promise<string[]> {
  const found = await Promise.all([
    strayProcesses(fleet),
    runs(fleet),
    ...hosts.flatMap((host) => [
      containers(fleet, host),
      locks(fleet, host),
      files(fleet, host),
      tasks(fleet, host),
    ]),
  ]);
  return found.flat();
}

/** The databases of a host's server that are not its own: call it while the server is up. */
export async function scratchDatabases(fleet: KomposeFleet, host: string): Promise<string[]> {
  const query =
    "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres','template0','template1','shop')";
  const psql = ['psql', '-XAtq', '-U', 'app', '-d', 'postgres', '-c', query];
  const names = await dockerLines(fleet, host, 'exec', 'shop-db-1', ...psql);
  return names.map((name) => `database ${name} on ${host}`);
}

/** Whatever works in a stack's folder, or bears a task's mark. */
export async function strayProcesses(fleet: KomposeFleet): Promise<string[]> {
  const roots = fleet.rig.hosts.map(({ name }) => fleet.stacks(name));
  const rigFolders = fleet.rig.hosts.map(({ folder }) => dirname(dirname(folder)));
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const seen = await Promise.all(
    pids.map(async (pid) => {
      const [folder, environment, words] = await Promise.all([
        readlink(`/proc/${pid}/cwd`).catch(() => ''),
        readFile(`/proc/${pid}/environ`, 'latin1').catch(() => ''),
        readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => ''),
      ]);
      const isOurs = rigFolders.some((rigFolder) => environment.includes(rigFolder));
      const isStray = roots.some((root) => folder.startsWith(root));
      const isMarked = isOurs && environment.includes('KOMPOSE_STEP_OF=');
      return isStray || isMarked ? [`process ${pid}: ${words.replaceAll('\0', ' ')}`] : [];
    }),
  );
  return seen.flat();
}

async function containers(fleet: KomposeFleet, host: string): Promise<string[]> {
  const [all, networks] = await Promise.all([
    dockerLines(fleet, host, 'ps', '--all', '--format', '{{.Names}} ({{.Status}}, {{.Command}})'),
    dockerLines(fleet, host, 'network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}'),
  ]);
  return [
    ...all.map((container) => `container ${container} on ${host}`),
    ...networks.map((network) => `network ${network} on ${host}`),
  ];
}

async function locks(fleet: KomposeFleet, host: string): Promise<string[]> {
  const folder = join(fleet.stacks(host), '.kompose', 'locks');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => `lock ${join(entry.parentPath, entry.name)}`);
}

/** Besides the stacks' own files and whole dumps. */
async function files(fleet: KomposeFleet, host: string): Promise<string[]> {
  const known =
    /^(?:kompose\.sh|(?:shop|web|idle)\/(?:compose\.yaml|hooks\.sh|Dockerfile|shop_\d{8}_\d{6}\.sql(?:\.gz|\.zst)?))$/;
  const root = fleet.stacks(host);
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !known.test(path) && !path.startsWith('.kompose/'))
    .map((path) => `file ${path} on ${host}`);
}

/** What an agent keeps of tasks that have ended. */
async function tasks(fleet: KomposeFleet, host: string): Promise<string[]> {
  const folder = join(fleet.folder, `agent-${host}`, 'agent');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.parentPath.includes('tasks'))
    .map((entry) => `task file ${join(entry.parentPath, entry.name)}`);
}

/** Runs that did not end, or whose report leaves a target out. */
async function runs(fleet: KomposeFleet): Promise<string[]> {
  const { stdout } = await fleet.kompose(['runs', 'ls', '-o', 'json']);
  const rows = jsonLines(stdout) as unknown as {
    run: string;
    state: string;
    targets: number;
    counts?: object;
  }[];
  return rows.flatMap((row) => {
    const counted = Object.values(row.counts ?? {}).reduce((sum: number, count: number) => sum + count, 0);
    if (row.state === 'running') return [`run ${row.run} is still running`];
    return counted === row.targets
      ? []
      : [`run ${row.run} accounts for ${counted} of ${row.targets} targets`];
  });
}
