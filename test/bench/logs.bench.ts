import { execa } from 'execa';
import { processesOf, until } from '../e2e/support.ts';
import { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { kompose as release } from '../fleet/release.ts';
import { startRig } from '../fleet/rig.ts';
import type { Bench } from './measure.ts';

const hosts = ['prod-1', 'prod-2', 'prod-3', 'prod-4', 'prod-5'];
const stacks = Array.from({ length: 10 }, (_, at) => `app-${at}`);
const compose = `
services:
  app:
    image: busybox:local
    command: ["sh", "-c", "while :; do echo tick; sleep 1; done"]
    network_mode: none
    stop_grace_period: 0s
`;

/** Fifty logs at once, until Ctrl-C. */
export const bench: Bench = {
  about: `logs -f of ${hosts.length * stacks.length} targets on ${hosts.length} hosts, ended by Ctrl-C`,
  async run(report) {
    await using rig = await startRig({ hosts });
    await using fleet = await KomposeFleet.start({ rig });
    for (const host of hosts) {
      for (const stack of stacks) await fleet.writeStack(host, stack, { 'compose.yaml': compose });
    }
    const targets = hosts.flatMap((host) => stacks.map((stack) => `${host}:${stack}`));
    await until('all stacks are known', async () => {
      const { stdout } = await fleet.kompose(['-o', 'json', 'stacks']);
      return stdout.trim().split('\n').length === targets.length;
    });
    await fleet.kompose(['*', 'up', '-d'], { timeoutMs: 300_000 });
    const rounds = [];
    for (let round = 0; round < 3; round++) rounds.push(await follow(fleet, targets));
    await fleet.kompose(['*', 'down'], { timeoutMs: 300_000 });
    for (const { shownMs, endedMs, goneMs, left } of rounds) {
      const times = `all show after ${shownMs} ms; Ctrl-C: the client ends after ${endedMs} ms, all is gone after ${goneMs} ms`;
      report(`${times}; processes left: ${left}`);
    }
    return { rounds };
  },
};

async function follow(fleet: KomposeFleet, targets: readonly string[]) {
  const startMs = performance.now();
  const client = execa(process.execPath, [release, '*', 'logs', '-f', '--tail', '1'], {
    env: { KOMPOSE_HOME: fleet.home },
    buffer: false,
    reject: false,
    stdin: 'ignore',
    stderr: 'ignore',
  });
  await untilAllShow(client.stdout, targets);
  const shownMs = Math.round(performance.now() - startMs);
  const interruptedMs = performance.now();
  client.kill('SIGINT');
  await client;
  const endedMs = Math.round(performance.now() - interruptedMs);
  await until('all is gone', async () => (await processes(fleet, targets)) === 0, 30_000).catch(
    () => undefined,
  );
  const goneMs = Math.round(performance.now() - interruptedMs);
  return { shownMs, endedMs, goneMs, left: await processes(fleet, targets) };
}

async function untilAllShow(stdout: AsyncIterable<Uint8Array>, targets: readonly string[]): Promise<void> {
  const missing = new Set(targets);
  let rest = '';
  const read = Promise.withResolvers<void>();
  void (async () => {
    for await (const chunk of stdout) {
      const lines = (rest + Buffer.from(chunk).toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) missing.delete(line.split(' ')[0] ?? '');
      if (missing.size === 0) read.resolve();
    }
    read.reject(new Error(`nothing was shown of ${[...missing].join(', ')}`));
  })();
  await read.promise;
}

async function processes(fleet: KomposeFleet, targets: readonly string[]): Promise<number> {
  const counts = await Promise.all(
    targets.map(async (target) => {
      const [host = '', stack = ''] = target.split(':');
      return (await processesOf(fleet, host, stack)).length;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
