import { rm } from 'node:fs/promises';
import { removeCgroup } from './cgroup.ts';
import { withLock } from './lock.ts';
import { tearDownNetwork } from './network.ts';
import { isAlive } from './process-identity.ts';
import { killProcesses, untilReaped } from './rig-processes.ts';
import { readState, rigFolders } from './rig-state.ts';

/** Rigs are made and removed one at a time on a machine: networks are chosen, `ip netns` shares a folder. */
export function withRigLock<T>(body: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  return withLock('rig-network', body, signal);
}

/**
 * Removes what the rig in `folder` left: processes, network, cgroup, folder, in an order in which nothing can
 * come back. Call it under the rig lock. It can be called again where an earlier call was killed half way.
 */
export async function cleanUp(folder: string): Promise<void> {
  const rig = await readState(folder);
  if (rig !== undefined) {
    const killed = await killProcesses(rig);
    await tearDownNetwork(rig);
    killed.push(...(await killProcesses(rig))); // one that its owner was starting while it died
    await removeCgroup(rig.cgroup);
    await untilReaped(killed);
  }
  await rm(folder, { recursive: true, force: true });
}

/** Cleans up after each rig of this machine whose owner is dead. Call it under the rig lock. */
export async function sweepDeadRigs(): Promise<void> {
  await Promise.all((await rigFolders()).map(sweep));
}

async function sweep(folder: string): Promise<void> {
  const rig = await readState(folder);
  if (rig === undefined || !isAlive(rig.owner)) await cleanUp(folder);
}
