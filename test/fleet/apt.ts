import { createWriteStream, openSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from './cache.ts';
import { run } from './run.ts';

const policyFile = '/usr/sbin/policy-rc.d';
const policyMark = '# put here by the test rig of kompose while it installs, to be removed';

/**
 * Installs `packages`, with `apt-get update` first only if it does not work without. No service is started.
 *
 * apt runs in a session of its own and is never interrupted: a Ctrl-C in the middle of dpkg would leave the
 * machine half configured. Its output goes to `apt.log` in the cache folder. Call it under a lock.
 */
export async function aptInstall(packages: readonly string[]): Promise<void> {
  await withoutServiceStarts(async () => {
    const install = ['install', '--yes', '--no-install-recommends', ...packages];
    if ((await aptGet(install)) === 0) return;
    await aptGet(['update']); // a source out of reach makes this fail: the installation below tells
    if ((await aptGet(install)) === 0) return;
    throw new Error(`apt-get could not install ${packages.join(' ')}:\n${await logTail()}`);
  });
}

async function aptGet(args: readonly string[]): Promise<number | undefined> {
  await mkdir(cacheFolder, { recursive: true });
  const log = createWriteStream('', { fd: openSync(logFile(), 'a') }); // its descriptor, not a pipe through us
  const { exitCode } = await run('apt-get', ['--quiet', '-oDPkg::Lock::Timeout=300', ...args], {
    env: { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
    stdin: 'ignore',
    stdout: log,
    stderr: log,
    detached: true,
    reject: false,
  });
  log.close();
  return exitCode;
}

/** A policy-rc.d that is there already stays as it is, except one that a killed run of ours left. */
async function withoutServiceStarts(body: () => Promise<void>): Promise<void> {
  const present = await readFile(policyFile, 'utf8').catch(() => undefined);
  const isOurs = present === undefined || present.includes(policyMark);
  if (isOurs) await writeFile(policyFile, `#!/bin/sh\n${policyMark}\nexit 101\n`, { mode: 0o755 });
  try {
    await body();
  } finally {
    if (isOurs) await rm(policyFile, { force: true });
  }
}

function logFile(): string {
  return join(cacheFolder, 'apt.log');
}

async function logTail(): Promise<string> {
  const text = await readFile(logFile(), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-15).join('\n');
}
