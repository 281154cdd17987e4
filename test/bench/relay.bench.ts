import { randomBytes } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
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
    volumes: ["./data:/data:ro"]
`;

/** A large file out of a container: by docker exec there, and through agent, controller and client. */
export const bench: Bench = {
  about: `exec -T app cat of ${megabytes} MB into /dev/null: by hand there, and with kompose`,
  async run(report) {
    await using rig = await startRig({ hosts: ['prod-1'] });
    await using fleet = await KomposeFleet.start({ rig });
    await fleet.writeStack('prod-1', 'app', { 'compose.yaml': compose });
    await fill(join(fleet.stacks('prod-1'), 'app/data'));
    await fleet.kompose(['app', 'up', '-d']);
    const { argvPrefix, env } = rig.host('prod-1');
    const [nsenter = 'env', ...inside] = argvPrefix;
    const cat = ['cat', '/data/big'];
    const into = { stdin: 'ignore', stdout: { file: '/dev/null' }, buffer: false } as const;
    const hand = () => execa(nsenter, [...inside, 'docker', 'exec', 'app-app-1', ...cat], { env, ...into });
    const kompose = () =>
      execa(process.execPath, [release, 'app', 'exec', '-T', 'app', ...cat], {
        env: { KOMPOSE_HOME: fleet.home },
        ...into,
      });
    const peaks = await peaksWhile(fleet, 'prod-1', kompose());
    const samples = await measureInTurn(3, { hand, kompose });
    await fleet.kompose(['app', 'down']);
    for (const each of Object.values(samples)) {
      report(`${describe(each)}  ${(megabytes / (each.medianMs / 1000)).toFixed(0)} MB/s`);
    }
    report(describePeak('controller', peaks.controller));
    report(describePeak('agent', peaks.agent));
    report(`client     at most ${peaks.clientPeakMb} MB`);
    return { samples, peaks };
  },
};

async function fill(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = await open(join(folder, 'big'), 'w');
  const block = randomBytes(1024 * 1024);
  for (let count = 0; count < megabytes; count++) await file.write(block);
  await file.close();
}
