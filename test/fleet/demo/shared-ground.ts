import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Daemon } from '../daemon.ts';
import { busyboxImage, type Image } from '../images.ts';
import { run } from '../run.ts';
import { sharedEngineRig } from '../shared-rig.ts';
import type { Ground, GroundOptions } from './ground.ts';
import { demoImages } from './images.ts';
import type { Leftovers } from './leftovers.ts';

/**
 * Three hosts that share the engine which the docker client reaches. Compose projects bear this demo's id, so that
 * nothing of anybody else's is touched.
 *
 * INVARIANT: a keeper, a process of its own that is told beforehand what there will be, cleans up when this process
 * stops or dies.
 */
export async function sharedGround({ hosts, signal, report }: GroundOptions): Promise<Ground> {
  await requireEngine();
  const images = [await busyboxImage(), ...(await demoImages())];
  const tags = await missingTags(images);
  const id = randomBytes(2).toString('hex');
  const folder = await mkdtemp(join(tmpdir(), 'kompose-demo-'));
  const keeper = keep({ folder, projectSuffix: id, tags });
  const stop = (): Promise<void> => stopKeeper(keeper);
  try {
    report('loading images into the engine that is there');
    process.env['TMPDIR'] = folder; // the rig puts its own folder there
    const rig = await sharedEngineRig({ hosts, images, signal });
    for (const host of rig.hosts) Object.assign(host.env, dockerEnvironment()); // agents inherit nothing
    return {
      rig,
      about: 'three hosts that share the Docker engine which is here (root gets three real ones)',
      folder,
      mark: {},
      projectSuffix: (host) => `-${host}-${id}`,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function requireEngine(): Promise<void> {
  const { exitCode, stderr } = await run('docker', ['version'], { reject: false });
  if (exitCode === 0) return;
  const reason = stderr === '' ? 'docker is not installed' : stderr;
  throw new Error(`without root the demo needs a Docker engine that this user may use:\n${reason}`);
}

async function missingTags(images: readonly Image[]): Promise<string[]> {
  const tags = images.flatMap(({ tag, aliases }) => [tag, ...aliases]);
  const found = await Promise.all(
    tags.map((tag) => run('docker', ['image', 'inspect', tag], { reject: false, stdout: 'ignore' })),
  );
  return tags.filter((_, index) => found[index]?.exitCode !== 0);
}

function keep(leftovers: Leftovers): Daemon {
  const program = fileURLToPath(new URL('shared-keeper.ts', import.meta.url));
  const { PATH = '', HOME = '/' } = process.env;
  return new Daemon([process.execPath, program, JSON.stringify(leftovers)], {
    log: join(leftovers.folder, 'keeper.log'),
    env: { PATH, HOME, ...dockerEnvironment() },
  });
}

/** What tells the docker client which engine to use. */
function dockerEnvironment(): Record<string, string> {
  const names = ['DOCKER_HOST', 'DOCKER_CONTEXT', 'DOCKER_CONFIG', 'DOCKER_CERT_PATH', 'DOCKER_TLS_VERIFY'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

async function stopKeeper(keeper: Daemon): Promise<void> {
  keeper.endInput();
  if ((await keeper.exited()) !== 0) throw new Error(`cleaning up failed:\n${keeper.logTail()}`);
}
