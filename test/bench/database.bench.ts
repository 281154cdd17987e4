import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { postgresImage } from '../fleet/postgres-image.ts';
import { startRig } from '../fleet/rig.ts';
import { describe, measureInTurn, type Bench, type Samples } from './measure.ts';

/** The size that the targets are for; a smaller one shows more of what does not grow with it. */
const megabytes = Number(process.env['KOMPOSE_BENCH_MB'] ?? 500);
const rounds = Number(process.env['KOMPOSE_BENCH_ROUNDS'] ?? 5);
const rowsAMegabyte = 4130;
const release = fileURLToPath(new URL('../../dist/kompose.js', import.meta.url));
const password = 'bench';

const compose = `
services:
  db:
    image: postgres:15
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: ${password}, POSTGRES_DB: shop }
`;
const fill = `CREATE TABLE t(id bigint PRIMARY KEY, a text, b text, n numeric, ts timestamptz);
INSERT INTO t SELECT i, md5(i::text) || md5((i * 7)::text), repeat(md5((i * 3)::text), 4), i * 1.37, now()
FROM generate_series(1, ${megabytes * rowsAMegabyte}) AS i;
CREATE INDEX ON t(a);`;

/**
 * Issue: the same database dumped and restored by hand on that host and with kompose, both ways: in the container and
 * over TCP. By hand the new database is made before the clock runs; kompose makes it, swaps it in and drops the old.
 */
export const bench: Bench<Result> = {
  about: `db:export and db:import of ${megabytes} MB, by hand there and with kompose (release build)`,
  async run(report) {
    await using rig = await startRig({ hosts: ['prod-1'], images: [await postgresImage()] });
    await using fleet = await KomposeFleet.start({ rig });
    const stacks = fleet.stacks('prod-1');
    await fleet.writeStack('prod-1', 'shop', { 'compose.yaml': compose });
    await fleet.kompose(['shop', 'up', '-d']);
    const { argvPrefix, env } = rig.host('prod-1');
    const byHand = (script: string, ...args: string[]) => {
      const [nsenter = 'env', ...inside] = [...argvPrefix, 'bash', '-c', script, 'hand', ...args];
      return execa(nsenter, inside, { env: { ...env, PGPASSWORD: password }, cwd: join(stacks, 'shop') });
    };
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
    const address = await rig.docker('prod-1', ['inspect', '-f', format, 'shop-db-1']);
    const tcp = `-h ${address} -U app`;
    const exec = 'docker compose exec -T db';
    await byHand(`until psql ${tcp} -c 'SELECT 1' shop; do sleep 0.1; done`);
    await byHand(`psql ${tcp} -c "$1" shop`, fill);
    await fleet.writeStack('prod-1', 'far', {
      'compose.yaml': 'services:\n  app:\n    image: busybox:local\n',
      '.env': `DB_HOST=${address}\nDB_USER=app\nDB_PASSWORD=${password}\nDB_NAME=shop\n`,
    });
    const kompose = (...args: string[]) =>
      execa(process.execPath, [release, ...args], { env: { KOMPOSE_HOME: fleet.home } });
    const clean = async (): Promise<void> => {
      for (const stack of ['shop', 'far']) {
        const files = await readdir(join(stacks, stack));
        for (const file of files.filter((name) => name.endsWith('.sql'))) await rm(join(stacks, stack, file));
      }
      await byHand('sync');
    };
    const agent = await agentPid(join(fleet.folder, 'agent-prod-1'));
    const before = await memory(agent);

    const exports = await measureInTurn(rounds, {
      between1: clean,
      'export in the container, by hand': () => byHand(`${exec} pg_dump -U app shop > hand.sql`),
      between2: clean,
      'export in the container, kompose': () => kompose('shop', 'db:export'),
      between3: clean,
      'export over TCP, by hand': () => byHand(`pg_dump ${tcp} shop > hand.sql`),
      between4: clean,
      'export over TCP, kompose': () => kompose('far', 'db:export'),
    });
    await clean();
    const dump = join(stacks, 'dump.sql');
    await byHand(`pg_dump ${tcp} shop > "$1"`, dump);
    const fresh = async (): Promise<void> => {
      await byHand(`psql ${tcp} -c 'DROP DATABASE IF EXISTS hand' -c 'CREATE DATABASE hand' shop`);
      await byHand(`psql ${tcp} -c CHECKPOINT shop; sync`);
      await delay(500);
    };
    const psql = 'psql -q -o /dev/null';
    const imports = await measureInTurn(rounds, {
      between1: fresh,
      'import in the container, by hand': () => byHand(`${exec} ${psql} -U app -f - hand < "$1"`, dump),
      between2: fresh,
      'import in the container, kompose': () => kompose('shop', 'db:import', dump),
      between3: fresh,
      'import over TCP, by hand': () => byHand(`${psql} ${tcp} -f "$1" hand`, dump),
      between4: fresh,
      'import over TCP, kompose': () => kompose('far', 'db:import', dump),
    });
    const after = await memory(agent);
    const samples = Object.values({ ...exports, ...imports }).filter(
      ({ name }) => !name.startsWith('between'),
    );
    for (const each of samples) report(describe(each));
    const ratios = ratiosOf(samples);
    for (const [name, ratio] of Object.entries(ratios)) report(`${name}: ${ratio.toFixed(2)} times by hand`);
    report(
      `agent: RSS ${before.rssMb} MB before, ${after.rssMb} MB after, ${after.peakMb} MB at most (before: ${before.peakMb})`,
    );
    await fleet.kompose(['shop', 'down', '-v']);
    return { megabytes, samples, ratios, agentMemory: { before, after } };
  },
  targets: ({ ratios }) =>
    Object.entries(ratios).map(([name, ratio]) => ({
      what: `${name}, ${megabytes} MB: time, of that by hand`,
      limit: 'at most 1.15',
      measured: ratio.toFixed(2),
      isMet: ratio <= 1.15,
    })),
};

interface Result {
  readonly megabytes: number;
  readonly samples: readonly Samples[];
  /** By what was done: kompose's median time, of that by hand. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly agentMemory: { readonly before: Memory; readonly after: Memory };
}

interface Memory {
  readonly rssMb: number;
  readonly peakMb: number;
}

function ratiosOf(samples: readonly Samples[]): Record<string, number> {
  const medianOf = (name: string): number =>
    samples.find((each) => each.name === name)?.medianMs ?? Number.NaN;
  const names = samples
    .map(({ name }) => /^(.*), by hand$/.exec(name)?.[1] ?? '')
    .filter((name) => name !== '');
  return Object.fromEntries(
    names.map((name) => [name, medianOf(`${name}, kompose`) / medianOf(`${name}, by hand`)]),
  );
}

/** The process with this KOMPOSE_HOME that serves an agent. */
async function agentPid(home: string): Promise<string> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const environ = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environ.split('\0').includes(`KOMPOSE_HOME=${home}`)) return pid;
  }
  throw new Error('there is no process of the agent');
}

async function memory(pid: string): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const megabytesOf = (field: string): number =>
    Math.round(Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1024);
  return { rssMb: megabytesOf('VmRSS'), peakMb: megabytesOf('VmHWM') };
}
