import { readlink, rmdir, stat } from 'node:fs/promises';
import { exists } from './exists.ts';
import type { HostState, RigState } from './rig-state.ts';
import { run } from './run.ts';

const netnsFolder = '/var/run/netns';

/** Runs a program with its arguments inside the host's network, and nothing else of it. */
export function insideNetns(netns: string): [string, ...string[]] {
  return ['nsenter', `--net=${netnsFolder}/${netns}`]; // not `ip netns exec`, which remounts /sys
}

/** The first three bytes of a /24 in 10/8 that no address or route of this machine, and none of `claimed`, touches. */
export async function freeSubnet(random: () => number, claimed: readonly string[]): Promise<string> {
  const taken = [...(await takenNetworks()), ...claimed];
  const candidates = Array.from({ length: 200 }, () => `10.${byte(random, 1)}.${byte(random, 0)}`);
  const free = candidates.find((subnet) => !taken.some((network) => overlaps(subnet, network)));
  if (free === undefined) throw new Error('no free 10.x.y.0/24 on this machine for the hosts');
  return free;
}

/** Makes the bridge, and for each host its netns and its link. Loopback is up in each. */
export async function setUpNetwork(rig: RigState, signal: AbortSignal): Promise<void> {
  const commands = [
    ['link', 'add', rig.bridge, 'type', 'bridge'],
    ['address', 'add', `${rig.address}/24`, 'dev', rig.bridge],
    ['link', 'set', rig.bridge, 'up'],
    ...rig.hosts.flatMap((host) => hostCommands(rig, host)),
  ];
  for (const command of commands) await ip(command, signal);
}

function hostCommands(rig: RigState, host: HostState): string[][] {
  return [
    ['netns', 'add', host.netns],
    ['link', 'add', host.veth, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host.netns],
    ['link', 'set', host.veth, 'master', rig.bridge, 'up'],
    ['-n', host.netns, 'link', 'set', 'lo', 'up'],
    ['-n', host.netns, 'address', 'add', `${host.address}/24`, 'dev', 'eth0'],
    ['-n', host.netns, 'link', 'set', 'eth0', 'up'],
  ];
}

/** Cuts a host's link: packets are lost, open connections stay open. */
export async function cutLink(host: HostState): Promise<void> {
  await ip(['link', 'set', host.veth, 'down']);
}

/**
 * Heals it. Both sides forget that they were looking for the other's hardware address in vain: the kernel drops
 * what it queued behind such a search when that fails, which could be just after the healing.
 */
export async function healLink(rig: RigState, host: HostState): Promise<void> {
  await ip(['link', 'set', host.veth, 'up']);
  await ip(['-n', host.netns, 'neighbour', 'flush', 'dev', 'eth0']);
  await ip(['neighbour', 'flush', 'to', host.address, 'dev', rig.bridge]);
}

/** Removes whatever of the rig's network is there. */
export async function tearDownNetwork(rig: RigState): Promise<void> {
  for (const host of rig.hosts) {
    if (await exists(`/sys/class/net/${host.veth}`)) await ip(['link', 'delete', host.veth]);
    if (await exists(`${netnsFolder}/${host.netns}`)) await ip(['netns', 'delete', host.netns]);
  }
  if (await exists(`/sys/class/net/${rig.bridge}`)) await ip(['link', 'delete', rig.bridge]);
  await unmountNetnsFolder();
}

/** How /proc/…/ns/net names the namespaces of the rig that are there: "net:[4026532301]". */
export async function netnsLinks(rig: RigState): Promise<Set<string>> {
  const stats = await Promise.all(
    rig.hosts.map((host) => stat(`${netnsFolder}/${host.netns}`).catch(() => undefined)),
  );
  const own = await readlink('/proc/self/ns/net');
  const links = stats.flatMap((found) => (found ? [`net:[${found.ino}]`] : []));
  return new Set(links.filter((link) => link !== own));
}

/** `ip netns` mounts its folder on itself for the first namespace, and leaves that. Not busy only when empty. */
async function unmountNetnsFolder(): Promise<void> {
  if (!(await exists(netnsFolder))) return;
  const { exitCode } = await run('umount', [netnsFolder], { reject: false });
  if (exitCode === 0) await rmdir(netnsFolder).catch(() => {});
}

async function takenNetworks(): Promise<string[]> {
  const addresses = await ip(['-4', 'address']);
  const routes = await ip(['-4', 'route', 'show', 'table', 'all']);
  return `${addresses}\n${routes}`.match(/\b\d+\.\d+\.\d+\.\d+(\/\d+)?/g) ?? [];
}

/**
 * `subnet` is three bytes of a /24, `network` an address with or without a mask. A route wider than /12 (a VPN's
 * to everything) takes nothing: ours is the more specific one.
 */
function overlaps(subnet: string, network: string): boolean {
  const [address = '', bits = '32'] = network.split('/');
  if (Number(bits) < 12) return false;
  const shift = 2 ** (32 - Math.min(Number(bits), 24));
  return Math.floor(toNumber(`${subnet}.0`) / shift) === Math.floor(toNumber(address) / shift);
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function byte(random: () => number, from: number): number {
  return from + Math.floor(random() * (255 - from));
}

async function ip(args: readonly string[], signal?: AbortSignal): Promise<string> {
  const { stdout } = await run('ip', args, { ...(signal && { cancelSignal: signal }) });
  return stdout;
}
