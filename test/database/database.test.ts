import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { postgresImage } from '../fleet/postgres-image.ts';
import {
  endFleet,
  isRunning,
  jsonLines,
  outputOf,
  runJson,
  startFleet,
  until,
  writeStacks,
  type EventsOfRun,
} from '../e2e/support.ts';
import { kompose } from '../fleet/release.ts';

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
`;
const idle = 'services:\n  web:\n    image: busybox:local\n    network_mode: none\n';
const twoServers = 'services:\n  one:\n    image: postgres:15\n  two:\n    image: pgvector/pgvector:pg16\n';

/** Each hook tells that it ran and with what, in a file beside it; `FAIL=pre` makes the pre hook fail. */
const tellingHooks = ['export', 'import', 'cleanup']
  .flatMap((command) => ['pre', 'post', 'fail'].map((when) => [when, `hook_${when}_db_${command}`] as const))
  .map(([when, name]) => `${name}() { echo "${name}($*)" >> told; [[ \${FAIL-} != ${when} ]]; }`)
  .join('\n');

const fleet = await startFleet([host], { images: [await postgresImage()] });
after(() => endFleet(fleet));

const inStack = (stack: string, file = '.'): string => join(fleet.stacks(host), stack, file);
const bothWays = [
  { stack: 'shop', way: 'in the container' },
  { stack: 'far', way: 'over TCP' },
];

before(async () => {
  await writeStacks(fleet, { [`${host}:shop`]: { 'compose.yaml': shopCompose, 'hooks.sh': tellingHooks } });
  await startServer();
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
  const address = await fleet.rig.docker(host, ['inspect', '-f', format, 'shop-db-1']);
  const variables = `DB_HOST=${address}\nDB_USER=app\nDB_PASSWORD='${password}'\nDB_NAME=shop\n`;
  await writeStacks(fleet, {
    [`${host}:far`]: { 'compose.yaml': idle, 'hooks.sh': tellingHooks, '.env': variables },
    [`${host}:plain`]: { 'compose.yaml': idle, 'hooks.sh': tellingHooks },
    [`${host}:two`]: { 'compose.yaml': twoServers, 'hooks.sh': tellingHooks },
  });
  await sql('postgres', 'CREATE DATABASE bulky');
  const noise = "SELECT string_agg(md5(random()::text), '') AS x FROM generate_series(1, 100000)";
  await sql('bulky', `CREATE TABLE noise AS ${noise}`);
});

beforeEach(async () => {
  for (const { stack } of bothWays) {
    for (const file of await dumpsIn(stack)) await rm(inStack(stack, file));
    await told(stack);
  }
  await sql('shop', 'DROP TABLE IF EXISTS wares, later', 'CREATE TABLE wares(name text)');
  await sql('shop', "INSERT INTO wares VALUES ('as dumped')");
});

async function startServer(): Promise<void> {
  const { exitCode, stderr } = await fleet.kompose(['shop', 'up', '-d']);
  assert.equal(exitCode, 0, stderr);
  const answers = async (): Promise<boolean> => (await sql('postgres', 'SELECT 1').catch(() => '')) === '1';
  await until('the server answers', answers, 30_000);
}

/** What psql prints in the server's container, bare. */
async function sql(database: string, ...statements: string[]): Promise<string> {
  const commands = statements.flatMap((statement) => ['-c', statement]);
  const psql = ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', 'app', '-d', `dbname='${quote(database)}'`];
  return (await fleet.rig.docker(host, ['exec', 'shop-db-1', ...psql, ...commands])).trim();
}

const quote = (name: string): string => name.replaceAll(/['\\]/g, String.raw`\$&`);

/** All but the templates. */
async function databases(): Promise<string> {
  const names = await sql('postgres', 'SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1');
  return names.replaceAll('\n', ' ');
}

/** A session of somebody else's that executes `statement` and then sleeps, until it is disposed of or ended. */
async function holdSession(
  statement: string,
  database = 'shop',
): Promise<AsyncDisposable & { ended: Promise<unknown> }> {
  const psql = ['exec', 'shop-db-1', 'psql', '-XAtq', '-U', 'app', '-d', database];
  const commands = [
    '-c',
    "SET application_name = 'holder'",
    '-c',
    `BEGIN; ${statement}; SELECT pg_sleep(600)`,
  ];
  const ended = execa('docker', [...psql, ...commands], { env: fleet.rig.host(host).env, reject: false });
  const held =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder' AND wait_event = 'PgSleep'";
  await until('the session sleeps', async () => (await sql('postgres', held)) === '1');
  const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'";
  return { ended, [Symbol.asyncDispose]: async () => void (await sql('postgres', end).then(() => ended)) };
}

async function dumpsIn(stack: string): Promise<string[]> {
  return (await readdir(inStack(stack))).filter((file) => /\.sql|partial/.test(file)).toSorted();
}

async function told(stack: string): Promise<string[]> {
  const text = await readFile(inStack(stack, 'told'), 'utf8').catch(() => '');
  await rm(inStack(stack, 'told'), { force: true });
  return text.split('\n').filter((line) => line !== '');
}

function reasonOf(run: EventsOfRun, stack: string): string {
  return run.ends[`${host}:${stack}`]?.reason ?? '';
}

function notices(run: EventsOfRun): string {
  return run.events.flatMap(({ type, text }) => (type === 'notice' ? [text] : [])).join('\n');
}

/** Nothing of a command on the database is left: no process here or in the container, no session, no database. */
async function nothingIsLeft(): Promise<void> {
  const sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'kompose%'";
  await until('no session is left', async () => (await sql('postgres', sessions)) === '0');
  assert.deepEqual(await markedProcesses(), []);
  assert.equal(await databases(), 'bulky postgres shop');
  assert.equal(await sql('postgres', 'SELECT count(*) FROM pg_database WHERE NOT datallowconn'), '1');
}

async function newDump(stack: string, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await fleet.kompose([stack, 'db:export', ...args]);
  assert.equal(exitCode, 0, stderr);
  await told(stack);
  return stdout.trim();
}

const waresText = (): Promise<string> => sql('shop', 'SELECT string_agg(name, $$ $$) FROM wares');

for (const { stack, way } of bothWays) {
  describe(`db:export ${way}`, { timeout: 300_000 }, () => {
    for (const format of ['sql', 'sql.gz', 'sql.zst']) {
      it(`writes a whole ${format}, named by database and time, between its hooks`, async () => {
        const run = await runJson(fleet, [stack, 'db:export', '--format', format]);
        assert.equal(run.exitCode, 0, reasonOf(run, stack));
        assert.deepEqual(run.steps, ['pre succeeded', 'action succeeded', 'post succeeded']);
        const [name = '', ...others] = await dumpsIn(stack);
        assert.deepEqual(others, []);
        assert.match(name, new RegExp(`^shop_\\d{8}_\\d{6}\\.${format.replace('.', '\\.')}$`));
        const path = inStack(stack, name);
        assert.deepEqual(await told(stack), ['hook_pre_db_export()', `hook_post_db_export(${path})`]);
        assert.equal((await stat(path)).mode & 0o777, 0o600);
        assert.equal(outputOf(run.events, 'action', 'stdout'), `${path}\n`);
        const bytes = await readFile(path);
        const sha256 = createHash('sha256').update(bytes).digest('hex');
        assert.deepEqual(run.ends[`${host}:${stack}`]?.dump, { path, sizeBytes: bytes.length, sha256 });
        assert.match(await unpacked(path), /as dumped[^]*PostgreSQL database dump complete/);
      });
    }

    it('fails by name and leaves nothing when the disk is full', async () => {
      const full = `full-${stack}`;
      await mkdir(inStack(full));
      await execa('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', inStack(full)]);
      try {
        const env = `${await readFile(inStack(stack, '.env'), 'utf8').catch(() => 'COMPOSE_PROJECT_NAME=shop')}\n`;
        const compose = await readFile(inStack(stack, 'compose.yaml'), 'utf8');
        await writeStacks(fleet, {
          [`${host}:${full}`]: { 'compose.yaml': compose, 'hooks.sh': tellingHooks, '.env': env },
        });
        for (const format of ['sql', 'sql.zst']) {
          const small = await runJson(fleet, ['-e', 'DB_NAME=shop', full, 'db:export']);
          assert.equal(small.exitCode, 0, reasonOf(small, full));
          const old = await dumpsIn(full);
          const run = await runJson(fleet, ['-e', 'DB_NAME=bulky', full, 'db:export', '--format', format]);
          assert.equal(run.exitCode, 1);
          assert.match(reasonOf(run, full), /no space left/i);
          assert.deepEqual(await dumpsIn(full), old);
        }
      } finally {
        await execa('umount', [inStack(full)]);
        await rm(inStack(full), { recursive: true });
      }
    });

    it('fails and leaves nothing when the server goes away, and old dumps stay', async () => {
      const old = await newDump(stack);
      {
        await using _ = await holdSession('LOCK TABLE wares');
        const run = runJson(fleet, [stack, 'db:export']);
        await until('it has begun', async () => (await dumpsIn(stack)).length === 2);
        await until('it waits', async () => (await sql('postgres', waitingForLock)) === '1');
        await fleet.rig.docker(host, ['kill', 'shop-db-1']);
        const { exitCode, ...ended } = await run;
        await startServer();
        assert.equal(exitCode, 1);
        assert.match(reasonOf({ exitCode, ...ended }, stack), /pg_dump ended with exit code \d+/);
      }
      assert.deepEqual(await dumpsIn(stack), [basename(old)]);
      const [pre, fail = ''] = await told(stack);
      assert.equal(pre, 'hook_pre_db_export()');
      assert.match(fail, /^hook_fail_db_export\(\/.*\/shop_\d{8}_\d{6}\.sql\)$/);
      await nothingIsLeft();
    });

    it('ends at its deadline, in the container too, having shown how far it came and no password', async () => {
      await using _ = await holdSession('LOCK TABLE wares');
      const run = runJson(fleet, ['--timeout', '5s', stack, 'db:export', '--format', 'sql.gz']);
      await until('it waits', async () => (await sql('postgres', waitingForLock)) === '1');
      assert.doesNotMatch(await commandLines(), /s3cret/);
      const ended = await run;
      assert.equal(ended.exitCode, 1);
      assert.equal(ended.ends[`${host}:${stack}`]?.state, 'timed-out');
      assert.match(notices(ended), /^dumped [\d.]+ k?B, [\d.]+ k?B\/s$/m);
      assert.deepEqual(await dumpsIn(stack), []);
      await nothingIsLeft();
    });

    it('lets a second export wait for the first, and gives it a name of its own', async () => {
      const runs = await Promise.all([1, 2].map(() => runJson(fleet, [stack, 'db:export'])));
      assert.deepEqual(
        runs.map(({ exitCode }) => exitCode),
        [0, 0],
      );
      assert.equal((await dumpsIn(stack)).length, 2);
    });

    it('removes what a killed export left, but nothing that is being written', async () => {
      const left = inStack(stack, '.shop_20200101_000000.sql.partial');
      const other = inStack(stack, '.other_20200101_000000.sql.partial');
      const written = inStack(stack, '.shop_20200101_000001.sql.partial');
      for (const file of [left, other, written]) await writeFile(file, 'x');
      const writer = execa('sleep', ['60'], { stdout: { file: written }, reject: false });
      await until('it is open', () => isRunning(writer.pid ?? 0));
      const dump = await newDump(stack);
      writer.kill('SIGKILL');
      const names = [other, written, dump].map((path) => basename(path));
      assert.deepEqual(await dumpsIn(stack), names.toSorted());
    });

    it('does without its action when the pre hook fails, and stands when the post hook does', async () => {
      const pre = await runJson(fleet, ['-e', 'FAIL=pre', stack, 'db:export']);
      assert.deepEqual([pre.exitCode, pre.steps], [1, ['pre failed', 'fail succeeded']]);
      assert.deepEqual(await dumpsIn(stack), []);
      const post = await runJson(fleet, ['-e', 'FAIL=post', stack, 'db:export']);
      assert.equal(post.exitCode, 1);
      assert.deepEqual(post.steps, ['pre succeeded', 'action succeeded', 'post failed', 'fail succeeded']);
      assert.equal((await dumpsIn(stack)).length, 1);
      assert.match(post.ends[`${host}:${stack}`]?.dump?.sha256 ?? '', /^[0-9a-f]{64}$/);
    });
  });

  describe(`db:import ${way}`, { timeout: 300_000 }, () => {
    for (const format of ['sql', 'sql.gz', 'sql.zst']) {
      for (const words of [[], ['--in-place']]) {
        it(`brings back the newest ${[format, ...words].join(' ')}, between its hooks`, async () => {
          const path = await newDump(stack, '--format', format);
          await sql('shop', "UPDATE wares SET name = 'changed'", 'CREATE TABLE later()');
          const run = await runJson(fleet, [stack, 'db:import', ...words]);
          assert.equal(run.exitCode, 0, reasonOf(run, stack));
          assert.deepEqual(await told(stack), [
            `hook_pre_db_import(${path})`,
            `hook_post_db_import(${path})`,
          ]);
          assert.equal(await waresText(), 'as dumped');
          assert.equal(await sql('shop', "SELECT to_regclass('later') IS NULL"), 't');
          assert.equal(run.ends[`${host}:${stack}`]?.dump?.path, path);
          await nothingIsLeft();
        });
      }
    }

    it('takes the newest by the time in its name, or the file that is named', async () => {
      const newest = await newDump(stack);
      const older = inStack(stack, 'shop_20200101_000000.sql');
      await writeFile(older, (await readFile(newest, 'utf8')).replace('as dumped', 'long ago'));
      await writeFile(inStack(stack, 'shop_test_20990101_000000.sql'), 'of another database');
      await utimes(newest, 0, 0);
      assert.equal((await fleet.kompose([stack, 'db:import'])).exitCode, 0);
      assert.equal(await waresText(), 'as dumped');
      for (const file of ['shop_20200101_000000.sql', older]) {
        await sql('shop', 'TRUNCATE wares');
        assert.equal((await fleet.kompose([stack, 'db:import', file])).exitCode, 0);
        assert.equal(await waresText(), 'long ago');
      }
    });

    it('keeps owner, encoding, locale, privileges, settings, limit and comment of the database', async () => {
      await sql('postgres', 'DROP DATABASE shop', ...peculiar);
      await sql('shop', "CREATE TABLE wares(name text); INSERT INTO wares VALUES ('as dumped')");
      const attributes = await sql('postgres', attributesOf('shop'));
      try {
        await newDump(stack);
        for (const words of [[], ['--in-place']]) {
          const run = await runJson(fleet, [stack, 'db:import', ...words]);
          assert.equal(run.exitCode, 0, reasonOf(run, stack));
          assert.equal(await sql('postgres', attributesOf('shop')), attributes);
          assert.equal(await waresText(), 'as dumped');
        }
      } finally {
        await sql(
          'postgres',
          'DROP DATABASE shop',
          'DROP ROLE "The Owner"',
          'DROP ROLE reader',
          'CREATE DATABASE shop',
        );
      }
    });

    it('works on a name that needs quoting', async () => {
      const name = `We "ird" d'b = 100% Größe/x`;
      const identifier = `"${name.replaceAll('"', '""')}"`;
      await sql(
        'postgres',
        `CREATE DATABASE ${identifier}`,
        `COMMENT ON DATABASE ${identifier} IS 'it''s :odd; \\q'`,
      );
      const comment = `SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname LIKE 'We%'`;
      try {
        await sql(name, 'CREATE TABLE t AS SELECT 1 AS x');
        const db = ['-e', `DB_NAME=${name}`, stack];
        const exported = await fleet.kompose([...db, 'db:export']);
        assert.equal(exported.exitCode, 0, exported.stderr);
        const file = basename(exported.stdout.trim());
        assert.match(file, /^We "ird" d'b = 100% Größe%2Fx_\d{8}_\d{6}\.sql$/);
        for (const words of [[], ['--in-place']]) {
          await sql(name, 'DROP TABLE t');
          const imported = await fleet.kompose([...db, 'db:import', ...words]);
          assert.equal(imported.exitCode, 0, imported.stderr);
          assert.equal(await sql(name, 'SELECT x FROM t'), '1');
          assert.equal(await sql('postgres', comment), `it's :odd; \\q`);
        }
        assert.equal((await fleet.kompose([...db, 'db:cleanup', '--keep', '0'])).exitCode, 0);
        assert.deepEqual(await dumpsIn(stack), []);
      } finally {
        await sql('postgres', `DROP DATABASE ${identifier}`);
      }
    });

    it('refuses a file that is no finished dump, before any hook', async () => {
      const whole = await readFile(await newDump(stack));
      const half = whole.subarray(0, whole.length / 2);
      const zstd = (await execa('zstd', ['-qc'], { input: whole, encoding: 'buffer' })).stdout;
      const files: readonly [name: string, content: Uint8Array | string, reason: RegExp][] = [
        ['half.sql', half, /half\.sql is no finished dump: pg_dump's last line is not there/],
        ['half.sql.gz', gzipSync(whole).subarray(0, -20), /half\.sql\.gz is damaged or cut off/],
        ['half.sql.zst', zstd.subarray(0, -20), /half\.sql\.zst is damaged or cut off/],
        ['packed.sql.gz', gzipSync(half), /packed\.sql\.gz is no finished dump/],
        ['empty.sql', '', /empty\.sql is no finished dump/],
        ['custom.sql', 'PGDMP\x01', /custom format/],
      ];
      for (const [name, content, reason] of files) {
        await writeFile(inStack(stack, name), content);
        const run = await runJson(fleet, [stack, 'db:import', name]);
        assert.equal(run.exitCode, 1);
        assert.match(reasonOf(run, stack), reason);
      }
      const missing = await runJson(fleet, [stack, 'db:import', 'missing.sql']);
      assert.match(reasonOf(missing, stack), /there is no file .*\/missing\.sql/);
      const none = await runJson(fleet, ['-e', 'DB_NAME=none', stack, 'db:import']);
      assert.match(reasonOf(none, stack), /there is no dump of database none/);
      assert.deepEqual(await told(stack), []);
      assert.equal(await waresText(), 'as dumped');
      await nothingIsLeft();
    });

    it('leaves the old database as it was when the dump has an error in its middle', async () => {
      const path = await brokenDump(
        stack,
        "INSERT INTO public.wares VALUES ('half'); SELECT no_such_function();",
      );
      const run = await runJson(fleet, [stack, 'db:import', 'broken.sql']);
      assert.equal(run.exitCode, 1);
      assert.match(
        reasonOf(run, stack),
        /psql:<stdin>:\d+: ERROR: {2}function no_such_function\(\) does not exist/,
      );
      assert.deepEqual(await told(stack), [`hook_pre_db_import(${path})`, `hook_fail_db_import(${path})`]);
      assert.equal(await waresText(), 'as dumped');
      await nothingIsLeft();
      const inPlace = await runJson(fleet, [stack, 'db:import', '--in-place', 'broken.sql']);
      assert.match(reasonOf(inPlace, stack), /database shop is new and incomplete: import again/);
    });

    it('ends the sessions that hold the database open', async () => {
      await newDump(stack);
      for (const words of [[], ['--in-place']]) {
        await using session = await holdSession('SELECT count(*) FROM wares');
        const run = await runJson(fleet, [stack, 'db:import', ...words]);
        assert.equal(run.exitCode, 0, reasonOf(run, stack));
        await session.ended;
      }
      await nothingIsLeft();
    });

    it('undoes all at its deadline', async () => {
      await brokenDump(stack, 'SELECT pg_sleep(600);');
      const run = await runJson(fleet, ['--timeout', '4s', stack, 'db:import', 'broken.sql']);
      assert.equal(run.exitCode, 1);
      assert.equal(run.ends[`${host}:${stack}`]?.state, 'timed-out');
      assert.match(notices(run), /^restored [\d.]+ k?B of [\d.]+ k?B \(\d+ %\), /m);
      assert.equal(await waresText(), 'as dumped');
      await nothingIsLeft();
    });

    it('undoes all at Ctrl-C', async () => {
      await brokenDump(stack, 'SELECT pg_sleep(600);');
      const client = fleet.spawnKompose([stack, 'db:import', 'broken.sql']);
      await until('it restores', async () => (await sql('postgres', sleeping)) === '1');
      client.kill('SIGINT');
      assert.equal((await client).exitCode, 130);
      assert.equal(await waresText(), 'as dumped');
      await nothingIsLeft();
    });

    it('leaves the old database as it was when the server goes away, and the next one tidies up', async () => {
      await brokenDump(stack, 'SELECT pg_sleep(600);');
      const good = await newDump(stack);
      const run = runJson(fleet, [stack, 'db:import', 'broken.sql'], { timeoutMs: 90_000 });
      await until('it restores', async () => (await sql('postgres', sleeping)) === '1');
      await fleet.rig.docker(host, ['kill', 'shop-db-1']);
      const ended = await run;
      assert.equal(ended.exitCode, 1);
      assert.match(
        reasonOf(ended, stack),
        /psql ended with .*the old database stays; kompose_import_\w+ could not be dropped/,
      );
      await startServer();
      assert.equal(await waresText(), 'as dumped');
      assert.match(await databases(), /kompose_import_/);
      assert.equal((await fleet.kompose([stack, 'db:import', good])).exitCode, 0);
      await nothingIsLeft();
    });

    it('tidies up what the import of a killed agent left, and nothing that is not ours', async () => {
      await brokenDump(stack, 'SELECT pg_sleep(600);');
      const good = await newDump(stack);
      const foreign = 'kompose_import_01jxyz0000000000000000000a';
      await sql('postgres', `CREATE DATABASE ${foreign}`, `COMMENT ON DATABASE ${foreign} IS 'mine'`);
      const client = fleet.spawnKompose(['--detach', stack, 'db:import', 'broken.sql']);
      await until('it restores', async () => (await sql('postgres', sleeping)) === '1');
      await fleet.kill(host);
      await fleet.startAgent(host);
      await client;
      const run = await runJson(fleet, [stack, 'db:import', good]);
      assert.equal(run.exitCode, 0, reasonOf(run, stack));
      assert.match(await databases(), new RegExp(`^bulky ${foreign} postgres shop$`));
      await sql('postgres', `DROP DATABASE ${foreign}`);
      await nothingIsLeft();
    });
  });

  describe(`db:cleanup ${way}`, { timeout: 60_000 }, () => {
    const others = ['shop_test_20200101_000000.sql', 'shop_20200101.sql', 'shop_20200101_000000.sql.bak'];
    const dumps = ['shop_20260103_000000.sql', 'shop_20260102_000000.sql.gz', 'shop_20260101_000000.sql.zst'];

    it('keeps the newest of exactly this database and says which it removes', async () => {
      for (const file of [...others, ...dumps]) await writeFile(inStack(stack, file), '');
      const [first = ''] = dumps;
      const [, second = '', third = ''] = dumps.map((file) => inStack(stack, file));
      const two = await fleet.kompose([stack, 'db:cleanup', '--keep', '2']);
      assert.deepEqual([two.exitCode, two.stdout], [0, `removed ${third}\n`]);
      assert.deepEqual(await told(stack), ['hook_pre_db_cleanup()', `hook_post_db_cleanup(${third})`]);
      assert.equal((await fleet.kompose([stack, 'db:cleanup'])).stdout, `removed ${second}\n`);
      assert.deepEqual(await dumpsIn(stack), [...others, first].toSorted());
      await told(stack);
      const nothing = await fleet.kompose([stack, 'db:cleanup', '--keep=5']);
      assert.deepEqual([nothing.exitCode, nothing.stdout], [0, '']);
      assert.deepEqual(await told(stack), ['hook_pre_db_cleanup()', 'hook_post_db_cleanup()']);
    });
  });
}

describe('a database command', { timeout: 120_000 }, () => {
  it('skips a stack without a database: no hook, no failure', async () => {
    for (const command of ['db:export', 'db:import', 'db:cleanup']) {
      const run = await runJson(fleet, ['plain', command]);
      assert.deepEqual([run.exitCode, run.ends[`${host}:plain`]?.state, run.steps], [0, 'skipped', []]);
    }
    assert.deepEqual(await told('plain'), []);
  });

  it('fails on a stack with two servers, naming both', async () => {
    const run = await runJson(fleet, ['two', 'db:export']);
    assert.equal(run.exitCode, 1);
    assert.match(reasonOf(run, 'two'), /one and two.*DB_SERVICE/);
    assert.deepEqual(await told('two'), []);
  });

  it('names a wrong password and leaves everything as it is', async () => {
    const dump = await newDump('far');
    for (const words of [['db:export'], ['db:import'], ['db:import', '--in-place']]) {
      const run = await runJson(fleet, ['-e', 'DB_PASSWORD=wrong-one', 'far', ...words]);
      assert.equal(run.exitCode, 1);
      assert.match(reasonOf(run, 'far'), /password authentication failed for user "app"/);
    }
    assert.deepEqual(await dumpsIn('far'), [basename(dump)]);
    await nothingIsLeft();
  });

  it('imports into a database that is not there yet', async () => {
    const path = await newDump('shop');
    for (const [stack, words] of [
      ['shop', [path]],
      ['far', [path, '--in-place']],
    ] as const) {
      const run = await runJson(fleet, ['-e', 'DB_NAME=fresh', stack, 'db:import', ...words]);
      assert.equal(run.exitCode, 0, reasonOf(run, stack));
      assert.equal(await sql('fresh', 'SELECT name FROM wares'), 'as dumped');
      await sql('postgres', 'DROP DATABASE fresh');
    }
    await nothingIsLeft();
  });

  it('needs no superuser, and gives up where it may not end a session', async () => {
    const tenant = ['-e', 'DB_USER=tenant', '-e', 'DB_PASSWORD=of-tenant', '-e', 'DB_NAME=rented', 'far'];
    await sql(
      'postgres',
      "CREATE ROLE tenant LOGIN CREATEDB PASSWORD 'of-tenant'",
      'CREATE DATABASE rented OWNER tenant',
    );
    try {
      await sql('rented', 'SET ROLE tenant', 'CREATE TABLE t AS SELECT 1 AS x');
      const exported = await runJson(fleet, [...tenant, 'db:export']);
      assert.equal(exported.exitCode, 0, reasonOf(exported, 'far'));
      await sql('rented', 'UPDATE t SET x = 2');
      {
        await using _ = await holdSession('SELECT 1', 'rented');
        for (const words of [[], ['--in-place']]) {
          const refused = await runJson(fleet, [...tenant, 'db:import', ...words]);
          assert.equal(refused.exitCode, 1);
          assert.match(
            reasonOf(refused, 'far'),
            /ERROR: .*(?:superuser|terminate).*; the old database stays$/,
          );
          assert.equal(await sql('rented', 'SELECT x FROM t'), '2');
        }
      }
      const imported = await runJson(fleet, [...tenant, 'db:import']);
      assert.equal(imported.exitCode, 0, reasonOf(imported, 'far'));
      assert.equal(await sql('rented', 'SELECT x FROM t'), '1');
    } finally {
      await sql('postgres', 'DROP DATABASE rented', 'DROP ROLE tenant');
    }
    await nothingIsLeft();
  });

  it('stays whole when two stacks import into the same database at once', async () => {
    const path = await newDump('shop');
    for (let round = 0; round < 3; round++) {
      const runs = await Promise.all(
        ['shop', 'far'].map((stack) => fleet.kompose([stack, 'db:import', path])),
      );
      assert.ok(
        runs.some(({ exitCode }) => exitCode === 0),
        runs.map(({ stderr }) => stderr).join('\n'),
      );
      assert.equal(await waresText(), 'as dumped');
    }
    assert.equal((await fleet.kompose(['shop', 'db:import', path])).exitCode, 0);
    await nothingIsLeft();
  });

  it('works without a controller', async () => {
    const { env, argvPrefix } = fleet.rig.host(host);
    const [nsenter = 'env', ...inside] = argvPrefix;
    const home = join(fleet.folder, 'nobody');
    const run = (...words: string[]) =>
      execa(nsenter, [...inside, process.execPath, kompose, '--local', 'shop', ...words], {
        env: { ...env, KOMPOSE_HOME: home, KOMPOSE_STACKS: fleet.stacks(host) },
        reject: false,
      });
    const exported = await run('db:export');
    assert.equal(exported.exitCode, 0, exported.stderr);
    await sql('shop', 'TRUNCATE wares');
    const imported = await run('db:import');
    assert.equal(imported.exitCode, 0, imported.stderr);
    assert.equal(await waresText(), 'as dumped');
    const refused = await run('db:export', '--frmat', 'x');
    assert.equal(refused.exitCode, 2);
  });

  it('takes a password that the pre hook exports', async () => {
    const hooks = `hook_pre_db_export() { export DB_PASSWORD='${password}'; }`;
    const variables = await readFile(inStack('far', '.env'), 'utf8');
    await writeStacks(fleet, {
      [`${host}:vault`]: {
        'compose.yaml': idle,
        'hooks.sh': hooks,
        '.env': variables.replace(/^DB_PASSWORD.*$/m, ''),
      },
    });
    assert.match(await newDump('vault'), /\/vault\/shop_/);
  });

  it('names the program that is missing before anything starts', async () => {
    const programs = inStack('far', 'bin');
    await mkdir(programs, { recursive: true });
    for (const [name, path] of Object.entries({
      docker: '/usr/local/bin/docker',
      bash: '/bin/bash',
      psql: '/usr/bin/psql',
    }))
      await symlink(path, join(programs, name));
    const run = await runJson(fleet, ['-e', `PATH=${programs}`, 'far', 'db:export']);
    assert.match(reasonOf(run, 'far'), /pg_dump is not on this host's PATH: install/);
    const packing = await runJson(fleet, [
      '-e',
      `PATH=${programs}`,
      'shop',
      'db:export',
      '--format',
      'sql.zst',
    ]);
    assert.match(reasonOf(packing, 'shop'), /zstd is not on this host's PATH: install/);
    assert.deepEqual([...(await told('far')), ...(await told('shop'))], []);
  });

  it('is refused with 2 and one line for a word that it does not know', async () => {
    for (const words of [
      ['db:export', '--frmat', 'sql'],
      ['db:import', 'a', 'b'],
      ['db:cleanup', '--keep', 'x'],
      ['db:drop'],
    ]) {
      const { exitCode, stderr } = await fleet.kompose(['shop', ...words]);
      assert.equal(exitCode, 2);
      assert.match(stderr, /^kompose: .*\n$/);
    }
  });

  it('shows its plan in a dry run and touches nothing', async () => {
    await newDump('shop');
    const there = await dumpsIn('shop');
    const plan = async (...words: string[]): Promise<string[]> => {
      const { exitCode, events } = await runJson(fleet, ['-n', ...words]);
      assert.equal(exitCode, 0);
      return events.flatMap(({ type, step, name }) => (type === 'plan.step' ? [`${step} ${name}`] : []));
    };
    assert.deepEqual(await plan('shop', 'db:export'), [
      'pre hook_pre_db_export',
      'action pg_dump',
      'post hook_post_db_export',
      'fail hook_fail_db_export',
    ]);
    assert.deepEqual(await plan('shop', 'db:import'), [
      'pre hook_pre_db_import',
      'action psql',
      'post hook_post_db_import',
      'fail hook_fail_db_import',
    ]);
    const cleanup = await fleet.kompose(['shop', 'db:cleanup', '--keep', '0', '--dry-run']);
    assert.match(cleanup.stdout, new RegExp(`action {2}rm -- .*${there[0]}`));
    assert.deepEqual(await dumpsIn('shop'), there);
    assert.deepEqual(await told('shop'), []);
  });

  it('is audited with path, size and SHA-256 of the dump, and with no password', async () => {
    const path = await newDump('shop');
    const { stdout } = await fleet.kompose(['audit', 'ls', '-o', 'json']);
    const record = jsonLines(stdout).findLast(
      ({ type, dump }) => type === 'task.finished' && dump !== undefined,
    );
    assert.equal(record?.dump?.path, path);
    assert.equal(record?.dump?.sizeBytes, (await stat(path)).size);
    assert.doesNotMatch(stdout, /s3cret/);
  });

  it('shows the path of a dump also where it holds the text of a secret', async () => {
    const run = await fleet.kompose(['-e', 'DB_TOKEN=shop', 'shop', 'db:export']);
    assert.match(run.stdout, /\/stacks\/shop\/shop_\d{8}_\d{6}\.sql\n$/);
    assert.match((await told('shop')).join(), /hook_post_db_export\(.*\/shop\/shop_/);
  });
});

const waitingForLock =
  "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'kompose%' AND wait_event_type = 'Lock'";
const sleeping =
  "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'kompose%' AND wait_event = 'PgSleep'";

/** A database unlike what CREATE DATABASE makes. */
const peculiar = [
  'CREATE ROLE "The Owner"',
  'CREATE ROLE reader',
  `CREATE DATABASE shop TEMPLATE template0 OWNER "The Owner" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' CONNECTION LIMIT 7`,
  'REVOKE ALL ON DATABASE shop FROM PUBLIC',
  'GRANT CONNECT ON DATABASE shop TO reader WITH GRANT OPTION',
  `ALTER DATABASE shop SET search_path = "$user", public, "Odd, ""one"""`,
  `ALTER DATABASE shop SET "my.setting" = 'it''s "1"'`,
  `ALTER DATABASE shop SET "DateStyle" = 'SQL, DMY'`,
  `ALTER ROLE reader IN DATABASE shop SET work_mem = '8MB'`,
  `COMMENT ON DATABASE shop IS 'the shop''s :data'`,
];

function attributesOf(database: string): string {
  return `SELECT to_jsonb(d) - 'oid' - 'dattablespace' - 'datfrozenxid' - 'datminmxid'
      || jsonb_build_object('comment', shobj_description(d.oid, 'pg_database'), 'settings',
        (SELECT jsonb_agg(jsonb_build_array(setrole, setconfig) ORDER BY setrole) FROM pg_db_role_setting
          WHERE setdatabase = d.oid))
    FROM pg_database AS d WHERE datname = '${database}'`;
}

/** A finished dump with `statement` in its middle. */
async function brokenDump(stack: string, statement: string): Promise<string> {
  const text = await readFile(await newDump(stack), 'utf8');
  const path = inStack(stack, 'broken.sql');
  await writeFile(path, text.replace(/^\\\.\n/m, `\\.\n${statement}\n`));
  return path;
}

async function unpacked(path: string): Promise<string> {
  const bytes = await readFile(path);
  if (path.endsWith('.gz')) return gunzipSync(bytes).toString();
  if (path.endsWith('.zst')) return (await execa('zstd', ['-dqc', path])).stdout;
  return bytes.toString();
}

/** Tools that kompose started, containers included. */
async function markedProcesses(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const marked = pids.map(async (pid) => {
    const environ = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    return /(?:^|\0)PGAPPNAME=kompose_/.test(environ) ? [await readFile(`/proc/${pid}/cmdline`, 'utf8')] : [];
  });
  return (await Promise.all(marked)).flat();
}

/** Of all processes of this machine, containers included. */
async function commandLines(): Promise<string> {
  return (await execa('ps', ['-eo', 'args', '-ww'])).stdout;
}
