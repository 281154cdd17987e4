import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { kompose as release } from '../fleet/release.ts';
import { startRig } from '../fleet/rig.ts';
import { describe, measureInTurn, type Bench } from './measure.ts';
import { describePeak, peaksWhile } from './peak-memory.ts';

const megabytes = 1024;
const compose = `
services:
  app:
    image: busybox:local
    command: sleep 1d
    network_mode: none
    stop_grace_period: 0s
`;

/** A large file into a container: by docker exec -i there, and through client, controller and agent. */
export const bench: Bench = {
  about: `exec -T app wc -c < ${megabytes} MB: by hand there, and with kompose`,
  async run(report) {
    await using rig = await startRig({ hosts: ['prod-1'] });
    await using fleet = await KomposeFleet.start({ rig });
    await fleet.writeStack('prod-1', 'app', { 'compose.yaml': compose });
    await fleet.kompose(['app', 'up', '-d']);
    const folder = await mkdtemp(join(tmpdir(), 'kompose-bench-'));
    try {
      return await measure(fleet, await fill(folder), report);
    } finally {
      await rm(folder, { recursive: true });
      await fleet.kompose(['app', 'down']);
    }
  },
};

async function measure(fleet: KomposeFleet, file: string, report: (line: string) => void): Promise<unknown> {
  const { argvPrefix, env } = fleet.rig.host('prod-1');
  const [nsenter = 'env', ...inside] = argvPrefix;
  const from = { stdin: { file } } as const;
  const hand = () =>
    execa(nsenter, [...inside, 'docker', 'exec', '-i', 'app-app-1', 'wc', '-c'], { env, ...from });
  const kompose = () =>
    execa(process.execPath, [release, 'app', 'exec', '-T', 'app', 'wc', '-c'], {
      env: { KOMPOSE_HOME: fleet.home },
      ...from,
    });
  const first = kompose();
  const peaks = await peaksWhile(fleet, 'prod-1', first);
  const { stdout } = await first;
  if (Number(stdout) !== megabytes * 1024 * 1024) throw new Error(`only ${stdout} bytes arrived`);
  const samples = await measureInTurn(3, { hand, kompose });
  for (const each of Object.values(samples)) {
    report(`${describe(each)}  ${(megabytes / (each.medianMs / 1000)).toFixed(0)} MB/s`);
  }
  report(describePeak('controller', peaks.controller));
  report(describePeak('agent', peaks.agent));
  report(`client     at most ${peaks.clientPeakMb} MB`);
  return { samples, peaks };
}

async function fill(folder: string): Promise<string> {
  const path = join(folder, 'big');
  const file = await open(path, 'w');
  const block = randomBytes(1024 * 1024);
  for (let count = 0; count < megabytes; count++) await file.write(block);
  await file.close();
  return path;
}
