import { readdir, readFile, rm } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { run } from '../run.ts';

/** What a demo on a shared engine makes: all that has to go when it ends. */
export interface Leftovers {
  /** TMPDIR of its programs: they are known by it. */
  readonly folder: string;
  /** Ends the names of its compose projects. */
  readonly projectSuffix: string;
  /** Image tags that were not there before. */
  readonly tags: readonly string[];
}

/** Removes them, in an order in which nothing can come back. May be called again after a call that was cut short. */
export async function removeLeftovers({ folder, projectSuffix, tags }: Leftovers): Promise<void> {
  await killProcesses(folder);
  // Twice: the engine may be busy with what the killed have asked for.
  for (const pauseMs of [300, 0]) {
    await removeAll(['ps', '--all'], ['rm', '--force', '--volumes'], projectSuffix);
    await setTimeout(pauseMs);
  }
  await removeAll(['network', 'ls'], ['network', 'rm'], projectSuffix);
  await run('docker', ['image', 'rm', '--force', ...tags], { reject: false });
  await rm(folder, { recursive: true, force: true });
}

async function removeAll(list: readonly string[], remove: readonly string[], suffix: string): Promise<void> {
  const format = '{{.ID}} {{.Label "com.docker.compose.project"}}';
  const { stdout } = await run('docker', [...list, '--format', format], { lines: true });
  const ids = stdout.filter((line) => line.endsWith(`-${suffix}`)).map((line) => line.split(' ')[0] ?? '');
  if (ids.length > 0) await run('docker', [...remove, ...ids]);
}

async function killProcesses(folder: string): Promise<void> {
  for (;;) {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const isOurs = await Promise.all(pids.map((pid) => hasTmpdir(pid, folder)));
    const ours = pids.filter((_, index) => isOurs[index]);
    if (ours.length === 0) return;
    for (const pid of ours) kill(Number(pid));
    await setTimeout(10);
  }
}

async function hasTmpdir(pid: string, folder: string): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
  return environment.split('\0').includes(`TMPDIR=${folder}`);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended meanwhile
  }
}
