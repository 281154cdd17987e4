import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessIdentity } from './process-identity.ts';

/** Short and on a disk: a socket's path is at most 107 bytes long, and the engines' files go here too. */
export const rigsFolder = '/var/tmp';
const prefix = 'kompose-rig-';

/** One host of a rig: all that is made for it has a name that is told here. */
export interface HostState {
  name: string;
  address: string;
  netns: string;
  /** The machine's end of the link. Within the host the other end is eth0. */
  veth: string;
  folder: string;
  socket: string;
  /** Address and mask of the engine's own bridge, inside the host. */
  bip: string;
}

/**
 * All that a rig leaves on the machine, so that another process can clean up after it. It is written before the
 * first of it is made. Processes are not listed: they carry `KOMPOSE_RIG=id` in their environment, or are in a
 * netns of the rig, or in its cgroup.
 */
export interface RigState {
  id: string;
  owner: ProcessIdentity;
  folder: string;
  bridge: string;
  /** The machine's address on the bridge, and its network (both with /24). */
  address: string;
  cgroup: string;
  hosts: readonly HostState[];
}

/** The state of a new rig `id` on the network `subnet` (its first three bytes: "10.7.3"). */
export function planRig(
  id: string,
  subnet: string,
  hostNames: readonly string[],
  owner: ProcessIdentity,
): RigState {
  const folder = join(rigsFolder, `${prefix}${id}`);
  return {
    id,
    owner,
    folder,
    bridge: `kr${id}`,
    address: `${subnet}.1`,
    cgroup: `kompose-rig-${id}`,
    hosts: hostNames.map((name, index) => planHost({ id, subnet, folder }, name, index + 1)),
  };
}

function planHost(
  rig: { id: string; subnet: string; folder: string },
  name: string,
  number: number,
): HostState {
  const folder = join(rig.folder, name);
  return {
    name,
    address: `${rig.subnet}.${number + 1}`,
    netns: `kompose-${rig.id}-${name}`,
    veth: `kr${rig.id}-${number}`,
    folder,
    socket: join(folder, 'docker.sock'),
    bip: `172.20.${number}.1/24`,
  };
}

/** Writes `state` into its folder, which is there already; a reader never sees half of it. */
export async function writeState(state: RigState): Promise<void> {
  const path = join(state.folder, 'state.json');
  await writeFile(`${path}.new`, JSON.stringify(state, undefined, 2));
  await rename(`${path}.new`, path);
}

/** Reads the state in `folder`; undefined when its rig was killed before it wrote one. */
export async function readState(folder: string): Promise<RigState | undefined> {
  const text = await readFile(join(folder, 'state.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const state: RigState = JSON.parse(text);
  return state;
}

/** The folders of all rigs on this machine, alive or dead. */
export async function rigFolders(): Promise<string[]> {
  const names = await readdir(rigsFolder);
  return names.filter((name) => name.startsWith(prefix)).map((name) => join(rigsFolder, name));
}
