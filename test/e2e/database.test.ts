import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { postgresImage } from '../fleet/postgres-image.ts';
import { endFleet, startFleet, until, writeStacks } from './support.ts';

/*
 * The database commands on a real PostgreSQL server in the stack's container: what they do when all goes well, and
 * one failure each. `npm run test:database` has all the rest, over TCP too; it takes some minutes more.
 */
const host = 'prod-1';
const compose = `
services:
  db:
    image: postgres:15
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: 's3cret pass', POSTGRES_DB: shop }
`;
const hooks = ['pre_db_export', 'post_db_export', 'pre_db_import', 'post_db_import', 'fail_db_import']
  .map((name) => `hook_${name}() { echo "told: ${name}($*)"; }\n`)
  .join('');

let fleet: KomposeFleet;
let folder: string;

before(async () => {
  fleet = await startFleet([host], { images: [await postgresImage()] });
  folder = join(fleet.stacks(host), 'shop');
  await writeStacks(fleet, { [`${host}:shop`]: { 'compose.yaml': compose, 'hooks.sh': hooks } });
  const { exitCode, stderr } = await fleet.kompose(['shop', 'up', '-d']);
  assert.equal(exitCode, 0, stderr);
  await until('the server answers', async () => (await sql('SELECT 1').catch(() => '')) === '1', 60_000);
  await sql('CREATE TABLE wares(name text)');
  await sql("INSERT INTO wares VALUES ('as dumped')");
});

after(() => endFleet(fleet));

async function sql(statement: string): Promise<string> {
  const psql = ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', 'app', '-d', 'shop', '-c', statement];
  const argv = ['exec', 'shop-db-1', ...psql];
  return (await fleet.rig.docker(host, argv)).trim();
}

const dumps = async (): Promise<string[]> =>
  (await readdir(folder)).filter((file) => file.includes('.sql')).toSorted();

test('db:export writes a private dump and tells the hooks its path and everybody its digest', async () => {
  const { exitCode, stdout, stderr } = await fleet.kompose(['-o', 'json', 'shop', 'db:export']);
  assert.equal(exitCode, 0, stderr);
  const [file = ''] = await dumps();
  assert.match(file, /^shop_\d{8}_\d{6}\.sql$/);
  const path = join(folder, file);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const content = await readFile(path);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const lines = stdout.trim().split('\n');
  const end = lines
    .map((line) => JSON.parse(line) as { type: string; dump?: unknown })
    .find(({ type }) => type === 'task.finished');
  assert.deepEqual(end?.dump, { path, sizeBytes: content.length, sha256 });
  assert.match(stdout, /told: pre_db_export\(\)/);
  assert.ok(stdout.includes(`told: post_db_export(${path})`));
});

test('db:import brings back the newest dump', async () => {
  await sql("UPDATE wares SET name = 'changed'");
  const { exitCode, stderr } = await fleet.kompose(['shop', 'db:import']);
  assert.equal(exitCode, 0, stderr);
  assert.equal(await sql('SELECT name FROM wares'), 'as dumped');
  assert.match(stderr, /told: pre_db_import\(.*\.sql\)/);
  assert.match(stderr, /told: post_db_import\(.*\.sql\)/);
});

test('db:import leaves the old database as it was when the dump is cut in half', async () => {
  const [file = ''] = await dumps();
  const whole = await readFile(join(folder, file), 'utf8');
  await fleet.writeStack(host, 'shop', { 'half.sql': whole.slice(0, whole.length / 2) });
  const { exitCode } = await fleet.kompose(['shop', 'db:import', 'half.sql']);
  assert.equal(exitCode, 1);
  assert.equal(await sql('SELECT name FROM wares'), 'as dumped');
  assert.equal(await sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%import%'"), '0');
});

test('db:cleanup keeps the newest dump of all formats together', async () => {
  const { exitCode, stderr } = await fleet.kompose(['shop', 'db:export', '--format', 'sql.gz']);
  assert.equal(exitCode, 0, stderr);
  assert.equal((await fleet.kompose(['shop', 'db:cleanup'])).exitCode, 0);
  const left = (await dumps()).filter((file) => file.startsWith('shop_'));
  assert.deepEqual(
    left.map((file) => file.replace(/^shop_\d{8}_\d{6}/, '')),
    ['.sql.gz'],
  );
});

test('a bad option is a usage error', async () => {
  const { exitCode, stderr } = await fleet.kompose(['shop', 'db:export', '--frmat', 'sql']);
  assert.deepEqual([exitCode, stderr.includes('--frmat')], [2, true]);
});
