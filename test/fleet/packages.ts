import type { Distribution } from './os-release.ts';
import { which } from './which.ts';
import { run } from './run.ts';

/** A part the hosts need: the package that brings it, and how to see that it is there. */
export interface Part {
  package: string;
  isThere: () => Promise<boolean>;
}

/** The parts apt brings on `distribution`. Debian up to 12 has no Compose v2 of its own: see docker-client.ts. */
export function partsFor(distribution: Distribution): readonly Part[] {
  const hasOwnClientPackage = distribution.id === 'debian' && distribution.version >= 13;
  return [
    program('dockerd', 'docker.io'),
    program('docker', hasOwnClientPackage ? 'docker-cli' : 'docker.io'),
    program('iptables', 'iptables'),
    program('ip', 'iproute2'),
    program('nsenter', 'util-linux'),
    staticBusybox,
  ];
}

/** What images are made of. */
export const staticBusybox: Part = { package: 'busybox-static', isThere: hasStaticBusybox };

/** The packages of the parts that are not there, each once, in the order of `parts`. */
export async function missingPackages(parts: readonly Part[]): Promise<string[]> {
  const found = await Promise.all(parts.map((part) => part.isThere()));
  return [...new Set(parts.filter((_, index) => !found[index]).map((part) => part.package))];
}

/** A program on the PATH. */
export function program(name: string, packageName: string): Part {
  return { package: packageName, isThere: async () => (await which(name)) !== undefined };
}

/** Debian's package "busybox" puts a dynamic one at the same path, which no image can run. */
async function hasStaticBusybox(): Promise<boolean> {
  const busybox = await which('busybox');
  if (busybox === undefined) return false;
  const { exitCode } = await run('ldd', [busybox], { reject: false });
  return exitCode !== 0;
}
