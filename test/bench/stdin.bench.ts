import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { postgresImage } from '../fleet/postgres-image.ts';
import { kompose as release } from '../fleet/release.ts';
import { startRig } from '../fleet/rig.ts';
import { describe, measureInTurn, type Bench } from './measure.ts';
import { describePeak, peaksWhile, type Peaks } from './peak-memory.ts';

const megabytes = 1024;
const compose = `
services:
  db:
    image: postgres:15
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: bench, POSTGRES_DB: shop }
`;
const psql = ['psql', '-qAt', '-U', 'app', 'shop'];

/** A large file into psql in a container: by docker exec -i there, and through client, controller and agent. */
export const bench: Bench = {
  about: `exec -T db psql < ${megabytes} MB: by hand there, and with kompose`,
  async run(report) {
    await using rig = await startRig({ hosts: ['prod-1'], images: [await postgresImage()] });
    await using fleet = await KomposeFleet.start({ rig });
    await fleet.writeStack('prod-1', 'app', { 'compose.yaml': compose });
    await fleet.kompose(['app', 'up', '-d']);
    const answers = ['app', 'exec', '-T', 'db', ...psql, '-h', '127.0.0.1', '-c', 'SELECT 1'];
    while ((await fleet.kompose(answers)).exitCode !== 0);
    const folder = await mkdtemp(join(tmpdir(), 'kompose-bench-'));
    try {
      const sizes = [megabytes / 4, megabytes];
      const [small = '', large = ''] = await Promise.all(sizes.map((size) => fill(folder, size)));
      return await measure(fleet, { small, large }, report);
    } finally {
      await rm(folder, { recursive: true });
      await fleet.kompose(['app', 'down', '-v']);
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
  const byHand = [...inside, 'docker', 'exec', '-i', 'app-db-1', ...psql];
  const hand = () => execa(nsenter, byHand, { env, ...from(files.large) });
  const kompose = (file = files.large) =>
    execa(process.execPath, [release, 'app', 'exec', '-T', 'db', ...psql], {
      env: { KOMPOSE_HOME: fleet.home },
      ...from(file),
    });
  const peaks: Record<string, Peaks> = {};
  for (const [size, file] of Object.entries(files)) {
    const client = kompose(file);
    peaks[size] = await peaksWhile(fleet, 'prod-1', client);
    const { size: bytes } = await stat(file);
    const { stdout } = await client;
    const rows = bytes / row.length;
    if (Number(stdout) !== Math.floor(rows)) throw new Error(`${stdout} rows of ${rows} arrived`);
    report(`${(bytes / 2 ** 20).toFixed(0)} MB:`);
    report(`  ${describePeak('controller', peaks[size].controller)}`);
    report(`  ${describePeak('agent', peaks[size].agent)}`);
    report(`  client     at most ${peaks[size].clientPeakMb} MB`);
  }
  const samples = await measureInTurn(2, { hand, kompose: () => kompose() });
  for (const each of Object.values(samples)) {
    report(`${describe(each)}  ${(megabytes / (each.medianMs / 1000)).toFixed(0)} MB/s`);
  }
  return { samples, peaks };
}

/** One row as COPY reads it. */
const row = `${'kompose '.repeat(16).trimEnd()}\n`;
/** What goes round the rows, shorter than one. */
const head = 'DROP TABLE IF EXISTS t;CREATE UNLOGGED TABLE t(a text);COPY t FROM stdin;\n';
const tail = '\\.\nSELECT count(*) FROM t;\n';

/** Writes an SQL script of about so many MiB, which prints how many rows it has put in. */
async function fill(folder: string, size: number): Promise<string> {
  const path = join(folder, `${size}.sql`);
  const file = createWriteStream(path);
  const rows = row.repeat(8192);
  file.write(head);
  for (let left = size * 2 ** 20; left > 0; left -= rows.length) {
    if (!file.write(rows)) await once(file, 'drain');
  }
  file.end(tail);
  await once(file, 'close');
  return path;
}
