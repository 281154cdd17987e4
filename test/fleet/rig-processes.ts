import { existsSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setInterval } from 'node:timers/promises';
import { cgroupPids, thawCgroup } from './cgroup.ts';
import { netnsLinks } from './network.ts';
import type { RigState } from './rig-state.ts';

/** The variable that marks the engines of a rig, and whatever is run with a host's environment. */
export const rigVariable = 'KOMPOSE_RIG';

/**
 * Kills (SIGKILL) every process of the rig, until none is left: its engines with all that they started, its
 * containers, and whatever else runs in its hosts' networks or with their environment. Gives their pids.
 */
export async function killProcesses(rig: RigState, timeoutMs = 15_000): Promise<number[]> {
  const deadline = Date.now() + timeoutMs;
  const killed = new Set<number>();
  for await (const _ of setInterval(10)) {
    const pids = await processesOf(rig);
    if (pids.length === 0) return [...killed];
    if (Date.now() > deadline) throw new Error(`rig ${rig.id}: processes ${pids.join(', ')} do not end`);
    for (const pid of pids) kill(pid);
    await thawCgroup(rig.cgroup);
    for (const pid of pids) killed.add(pid);
  }
  return [...killed];
}

/** Waits until the dead are out of the process list, which is init's to do (some look only now and then): bounded. */
export async function untilReaped(pids: readonly number[], timeoutMs = 3000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for await (const _ of setInterval(10)) {
    if (Date.now() > deadline || !pids.some((pid) => existsSync(`/proc/${pid}`))) return;
  }
}

async function processesOf(rig: RigState): Promise<number[]> {
  const networks = await netnsLinks(rig);
  const everyone = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const isOurs = await Promise.all(everyone.map((pid) => isProcessOf(rig, networks, pid)));
  const ours = [...everyone.filter((_, index) => isOurs[index]), ...(await cgroupPids(rig.cgroup))];
  return [...new Set(ours)].filter((pid) => pid > 0 && pid !== process.pid);
}

async function isProcessOf(rig: RigState, networks: ReadonlySet<string>, pid: number): Promise<boolean> {
  const [network, environment] = await Promise.all([
    readlink(`/proc/${pid}/ns/net`).catch(() => ''),
    readFile(`/proc/${pid}/environ`, 'latin1').catch(() => ''),
  ]);
  return networks.has(network) || environment.split('\0').includes(`${rigVariable}=${rig.id}`);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended meanwhile
  }
}
