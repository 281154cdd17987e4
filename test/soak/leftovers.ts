import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { until } from '../until.ts';
import type { Gauges } from '../../common/gauges.ts';
import type { AdminClient } from './admin-client.ts';
import { realHosts, type SoakFleet } from './soak-fleet.ts';

/**
 * Runs that only read end some seconds after their last watcher; agents that were killed come back first. Connections that
 * say nothing are cut within three minutes.
 */
const quietWithinMs = 240_000;
/** What any program may open late. */
const fewFiles = 3;

/** What each program of the fleet has, by its host; empty for the controller. */
export function gaugesOf(fleet: SoakFleet, admin: AdminClient): Promise<Map<string, Gauges>> {
  return admin.gauges(fleet.programs.flatMap(({ host }) => host ?? []));
}

/**
 * What is there that should not be, in words, once all clients have ended; empty is the goal. `before` there was a load,
 * the programs had so much.
 */
export async function findLeft(
  fleet: SoakFleet,
  admin: AdminClient,
  before: ReadonlyMap<string, Gauges>,
): Promise<string[]> {
  let left: string[] = [];
  await until(
    'nothing is left',
    async () => {
      const gauges = await gaugesLeft(fleet, admin, before);
      left = [...gauges, ...(await filesLeft(fleet)), ...(await processesLeft(fleet))];
      return left.length === 0;
    },
    quietWithinMs,
  ).catch(() => undefined);
  return left;
}

/** Files, streams, runs and bytes that nobody can want any more. */
async function gaugesLeft(
  fleet: SoakFleet,
  admin: AdminClient,
  before: ReadonlyMap<string, Gauges>,
): Promise<string[]> {
  const told = await gaugesOf(fleet, admin);
  return [...told].flatMap(([host, gauges]) => {
    const { links, streams, runs, spooledBytes, queuedRecords, fileDescriptors } = gauges;
    const more = fileDescriptors - (before.get(host)?.fileDescriptors ?? 0);
    // The controller counts the question itself, too.
    const quiet = host === '' ? links + 1 : 1;
    const what = {
      'links missing': host === '' ? fleet.hostCount - links : 0,
      'files more than before': more > fewFiles ? more : 0,
      streams: streams - quiet,
      runs,
      'spooled bytes': host === '' ? 0 : spooledBytes,
      'queued records': host === '' ? 0 : queuedRecords,
    };
    return Object.entries(what)
      .filter(([, count]) => count !== 0)
      .map(([name, count]) => `${host || 'controller'}: ${count} ${name}`);
  });
}

/** What tasks have on their hosts, and what of them is unmasked in memory. */
async function filesLeft(fleet: SoakFleet): Promise<string[]> {
  const kept = await Promise.all(fleet.taskFolders.map((folder) => readdir(folder)));
  const ids = new Set(readTables(fleet).tasks);
  const inMemory = (await readdir('/dev/shm')).filter((name) => ids.has(name.split('-')[1] ?? ''));
  return [...kept.flat(), ...inMemory].map((name) => `file ${name}`);
}

/** Processes that the agents have begun. */
async function processesLeft(fleet: SoakFleet): Promise<string[]> {
  const agents = realHosts.map((host) => fleet.stubs.agentPid(host));
  const children = await Promise.all(
    agents.map((pid) => readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')),
  );
  return children
    .flatMap((text) => text.split(' '))
    .filter((pid) => pid.trim() !== '')
    .map((pid) => `process ${pid}`);
}

interface Tables {
  readonly tasks: readonly string[];
  readonly runs: number;
  readonly states: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
}

/** Whether every run has an end, and every target of it one too. */
export function readTables(fleet: SoakFleet): Tables {
  const path = join(fleet.stubs.home('controller'), 'controller/kompose.db');
  using database = new DatabaseSync(path, { readOnly: true });
  const runs = database.prepare('SELECT id, state, targets, counts FROM runs').all() as unknown as RunRow[];
  const tasks = database.prepare('SELECT id, state FROM tasks').all() as { id: string; state: string }[];
  const states: Record<string, number> = {};
  for (const { state } of tasks) states[state] = (states[state] ?? 0) + 1;
  const open = tasks.filter(({ state }) => state === 'queued' || state === 'running');
  const faults = [...runs.flatMap(faultOf), ...open.map(({ id, state }) => `task ${id} is ${state}`)];
  return { tasks: tasks.map(({ id }) => id), runs: runs.length, states, faults };
}

interface RunRow {
  readonly id: string;
  readonly state: string;
  readonly targets: number;
  readonly counts: string;
}

function faultOf({ id, state, targets, counts }: RunRow): string[] {
  const ended = Object.values(JSON.parse(counts) as Record<string, number>).reduce((sum, n) => sum + n, 0);
  if (state !== 'running' && ended === targets) return [];
  return [`run ${id} is ${state}, with an end for ${ended} of ${targets} targets`];
}
