import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { kompose as release } from '../fleet/release.ts';
import { startRig } from '../fleet/rig.ts';
import { describe, measureInTurn, type Bench } from './measure.ts';
import { describePeak, peaksWhile, type Peaks } from './peak-memory.ts';

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
      const sizes = [megabytes / 4, megabytes];
      const [small = '', large = ''] = await Promise.all(sizes.map((size) => fill(folder, size)));
      return await measure(fleet, { small, large }, report);
    } finally {
      await rm(folder, { recursive: true });
      await fleet.kompose(['app', 'down']);
    }
  },
};

/** What grows with the size would show between the small file, which comes first, and the large one. */
async function measure(
  fleet: KomposeFleet,
  files: { readonly small: string; readonly large: string },
  report: (line: string) => void,
): Promise<unknown> {
  const { argvPrefix, env } = fleet.rig.host('prod-1');
  const [nsenter = 'env', ...inside] = argvPrefix;
  const from = (file: string) => ({ stdin: { file } }) as const;
  const byHand = [...inside, 'docker', 'exec', '-i', 'app-app-1', 'wc', '-c'];
  const hand = () => execa(nsenter, byHand, { env, ...from(files.large) });
  const kompose = (file = files.large) =>
    execa(process.execPath, [release, 'app', 'exec', '-T', 'app', 'wc', '-c'], {
      env: { KOMPOSE_HOME: fleet.home },
      ...from(file),
    });
  const peaks: Record<string, Peaks> = {};
  for (const [size, file] of Object.entries(files)) {
    const client = kompose(file);
    peaks[size] = await peaksWhile(fleet, 'prod-1', client);
    const { size: bytes } = await stat(file);
    const { stdout } = await client;
    if (Number(stdout) !== bytes) throw new Error(`only ${stdout} of ${bytes} bytes arrived`);
    report(`${(bytes / 2 ** 20).toFixed(0)} MB:`);
    report(`  ${describePeak('controller', peaks[size].controller)}`);
    report(`  ${describePeak('agent', peaks[size].agent)}`);
    report(`  client     at most ${peaks[size].clientPeakMb} MB`);
  }
  const samples = await measureInTurn(3, { hand, kompose: () => kompose() });
  for (const each of Object.values(samples)) {
    report(`${describe(each)}  ${(megabytes / (each.medianMs / 1000)).toFixed(0)} MB/s`);
  }
  return { samples, peaks };
}

async function fill(folder: string, size: number): Promise<string> {
  const path = join(folder, String(size));
  const file = await open(path, 'w');
  const block = randomBytes(1024 * 1024);
  for (let count = 0; count < size; count++) await file.write(block);
  await file.close();
  return path;
}
