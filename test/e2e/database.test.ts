import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { execa } from 'execa';
import { postgresImage } from '../fleet/postgres-image.ts';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { endFleet, jsonLines, outputOf, runJson, shows, startFleet, until, writeStacks } from './support.ts';

/*
 * db:export, db:import and db:cleanup on a real PostgreSQL server: inside the stack's container, and over TCP with
 * this machine's tools. `shop` is the stack with the server; `far` has none and reaches it over TCP.
 */

const host = 'prod-1';
const password = 's3cret$pass word';

const shopCompose = `
services:
  db:
    image: postgres:15
    environment:
      POSTGRES_USER: app
      POSTGRES_PASSWORD: 's3cret$$pass word'
      POSTGRES_DB: shop
  web:
    image: busybox:local
    network_mode: none
`;
const idle = 'services:\n  web:\n    image: busybox:local\n    network_mode: none\n';

/** Each hook tells that it ran and with what, in a file beside it. */
const tellingHooks = ['export', 'import', 'cleanup']
  .flatMap((command) => ['pre', 'post', 'fail'].map((when) => `hook_${when}_db_${command}`))
  .map((name) => `${name}() { printf '%s\\n' "${name}($*)" >> told; return "\${RETURN_${name}:-0}"; }`)
  .join('\n');

const fleet = await startFleet([host], { images: [await postgresImage()] });
after(() => endFleet(fleet));

const stackFolder = (stack: string): string => join(fleet.stacks(host), stack);

await writeStacks(fleet, {
  [`${host}:shop`]: { 'compose.yaml': shopCompose, 'hooks.sh': tellingHooks },
  [`${host}:plain`]: { 'compose.yaml': idle, 'hooks.sh': tellingHooks },
});
const up = await fleet.kompose(['shop', 'up', '-d']);
assert.equal(up.exitCode, 0, up.stderr);
await until('the server answers', async () => (await sqlIn('postgres', 'SELECT 1').catch(() => '')) === '1', 30_000);
const address = await addressOf('shop-db-1');
await writeStacks(fleet, {
  [`${host}:far`]: {
    'compose.yaml': idle,
    'hooks.sh': tellingHooks,
    '.env': `DB_HOST=${address}\nDB_USER=app\nDB_PASSWORD='${password}'\nDB_NAME=shop\n`,
  },
});

async function addressOf(container: string): Promise<string> {
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
  return (await fleet.rig.docker(host, ['inspect', '-f', format, container])).trim();
}

/** What psql prints in the server's container, bare. */
async function sqlIn(database: string, ...statements: string[]): Promise<string> {
  const commands = statements.flatMap((statement) => ['-c', statement]);
  const psql = ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', 'app', '-d', database, ...commands];
  return (await fleet.rig.docker(host, ['exec', 'shop-db-1', ...psql])).trim();
}

async function dumpsIn(stack: string): Promise<string[]> {
  return (await readdir(stackFolder(stack))).filter((file) => /\.sql|partial/.test(file)).toSorted();
}

async function told(stack: string): Promise<string[]> {
  const file = join(stackFolder(stack), 'told');
  const text = await readFile(file, 'utf8').catch(() => '');
  await rm(file, { force: true });
  return text.split('\n').filter((line) => line !== '');
}

const sha256 = async (file: string): Promise<string> =>
  createHash('sha256').update(await readFile(file)).digest('hex');

describe('db:export', { timeout: 170_000 }, () => {
  for (const stack of ['shop', 'far']) {
    for (const format of ['sql', 'sql.gz', 'sql.zst']) {
      it(`writes a whole ${format} dump from ${stack}, with its hooks`, async () => {
        await rmDumps(stack);
        const run = await runJson(fleet, [stack, 'db:export', '--format', format]);
        assert.equal(run.exitCode, 0, run.stderr + JSON.stringify(run.ends));
        assert.deepEqual(run.steps, ['pre succeeded', 'action succeeded', 'post succeeded']);
        const [name = ''] = await dumpsIn(stack);
        const path = join(stackFolder(stack), name);
        assert.match(name, new RegExp(`^shop_\\d{8}_\\d{6}\\.${format.replace('.', '\\.')}$`));
        assert.deepEqual(await told(stack), ['hook_pre_db_export()', `hook_post_db_export(${path})`]);
        const stats = await stat(path);
        assert.equal(stats.mode & 0o777, 0o600);
        const dump = { path, sizeBytes: stats.size, sha256: await sha256(path) };
        assert.deepEqual(run.ends[`${host}:${stack}`]?.dump, dump);
        assert.equal(outputOf(run.events, 'action', 'stdout'), `${path}\n`);
      });
    }
  }
});

async function rmDumps(stack: string): Promise<void> {
  for (const file of await dumpsIn(stack)) await rm(join(stackFolder(stack), file));
}

describe('db:import', { timeout: 170_000 }, () => {
  for (const stack of ['shop', 'far']) {
    for (const words of [[], ['--in-place']]) {
      it(`restores the newest dump of ${stack} ${words.join(' ')}`, async () => {
        await rmDumps(stack);
        await sqlIn('shop', 'DROP TABLE IF EXISTS wares', 'CREATE TABLE wares(name text)');
        await sqlIn('shop', "INSERT INTO wares VALUES ('as dumped')");
        const exported = await fleet.kompose([stack, 'db:export']);
        await sqlIn('shop', "UPDATE wares SET name = 'changed since'", 'CREATE TABLE later()');
        await told(stack);
        const run = await runJson(fleet, [stack, 'db:import', ...words]);
        assert.equal(run.exitCode, 0, outputOf(run.events, 'action') + JSON.stringify(run.ends));
        const path = exported.stdout.trim();
        assert.deepEqual(await told(stack), [`hook_pre_db_import(${path})`, `hook_post_db_import(${path})`]);
        assert.equal(await sqlIn('shop', 'SELECT name FROM wares'), 'as dumped');
        assert.equal(await sqlIn('shop', "SELECT to_regclass('later') IS NULL"), 't');
        assert.equal(await databases(), 'postgres shop');
      });
    }
  }
});

/** All but the templates. */
async function databases(): Promise<string> {
  const names = await sqlIn('postgres', 'SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1');
  return names.replaceAll('\n', ' ');
}
