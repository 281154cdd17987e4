import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { findClient } from './docker-client.ts';
import { exists } from './exists.ts';
import { ensureParts } from './install.ts';
import { readDistribution } from './os-release.ts';
import { run } from './run.ts';
import { unpackPackages } from './unpacked-packages.ts';

/**
 * The folder with a `docker-compose` that is no plugin: Compose 1.29, in Python, where the machine is the last Debian
 * that has it; elsewhere Compose v2, which works under that name too.
 */
export async function oldComposeFolder(): Promise<string> {
  const { id, version } = await readDistribution();
  return id === 'debian' && version === 12 ? composeV1() : standaloneV2();
}

/** Debian's own: it sees what else the machine has of Debian's packages. */
const python = '/usr/bin/python3';

async function composeV1(): Promise<string> {
  await ensureParts([{ package: 'python3', isThere: () => exists(python) }]);
  return cached('docker-compose-bookworm', async (scratch) => {
    const wanted = { release: 'bookworm', packages: ['docker-compose'], withDependencies: true } as const;
    const root = await unpackPackages(`${scratch}-apt`, wanted);
    await cp(join(root, 'usr/lib/python3/dist-packages'), join(scratch, 'python'), { recursive: true });
    await cp(join(root, 'usr/bin/docker-compose'), join(scratch, 'python', 'docker-compose'));
    const start = `#!/bin/sh\nhere=\${0%/*}\nPYTHONPATH=$here/python exec ${python} "$here/python/docker-compose" "$@"\n`;
    await writeFile(join(scratch, 'docker-compose'), start, { mode: 0o755 });
    await run(join(scratch, 'docker-compose'), ['version'], {});
  });
}

async function standaloneV2(): Promise<string> {
  return cached('docker-compose-standalone', async (scratch) => {
    await mkdir(scratch);
    const client = await findClient();
    if (client === undefined) throw new Error('there is no Compose v2 on this machine');
    await symlink(join(client.plugins, 'docker-compose'), join(scratch, 'docker-compose'));
  });
}
