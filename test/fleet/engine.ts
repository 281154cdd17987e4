import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setInterval } from 'node:timers/promises';
import { Daemon } from './daemon.ts';
import { insideNetns } from './network.ts';
import { rigVariable } from './rig-processes.ts';
import type { HostState, RigState } from './rig-state.ts';

/**
 * Starts a host's engine and waits until it answers.
 *
 * It has a mount namespace of its own (mounts flow in, never out), so that none of its mounts outlives it, and it
 * shares neither identity nor sockets with other engines. The storage driver is its own choice: overlay2 where
 * the file system can, vfs at worst.
 */
export async function startEngine(
  rig: RigState,
  host: HostState,
  path: string,
  signal: AbortSignal,
): Promise<Daemon> {
  signal.throwIfAborted();
  const engine = new Daemon(dockerdCommand(rig, host), {
    log: join(host.folder, 'dockerd.log'),
    env: { PATH: path, [rigVariable]: rig.id },
  });
  await untilAnswering(engine, host, signal);
  return engine;
}

/** Stops an engine as an operator does: it stops its containers, then ends. */
export async function stopEngine(engine: Daemon): Promise<void> {
  engine.kill('SIGTERM');
  await engine.exited();
}

function dockerdCommand(rig: RigState, host: HostState): [string, ...string[]] {
  return [
    ...insideNetns(host.netns),
    'unshare',
    '--mount',
    '--propagation=slave',
    'sh',
    fileURLToPath(new URL('engine.sh', import.meta.url)),
    host.folder,
    'dockerd',
    `--config-file=${join(host.folder, 'daemon.json')}`, // not the machine's
    `--host=unix://${host.socket}`,
    '--host=unix:///var/run/docker.sock', // its own /run
    `--data-root=${join(host.folder, 'data')}`,
    `--exec-root=${join(host.folder, 'exec')}`,
    `--pidfile=${join(host.folder, 'dockerd.pid')}`,
    `--bip=${host.bip}`,
    `--cgroup-parent=/${rig.cgroup}`,
    '--exec-opt=native.cgroupdriver=cgroupfs',
  ];
}

async function untilAnswering(engine: Daemon, host: HostState, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + 60_000;
  for await (const _ of setInterval(25, undefined, { signal })) {
    if (await answers(host.socket, signal)) return;
    if (engine.hasExited) throw new Error(`the engine of ${host.name} ended:\n${engine.logTail()}`);
    if (Date.now() > deadline)
      throw new Error(`the engine of ${host.name} does not answer:\n${engine.logTail()}`);
  }
}

function answers(socketPath: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', signal, agent: false, timeout: 5000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}
