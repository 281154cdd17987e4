import assert from 'node:assert/strict';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import { after, describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { endFleet, until } from '../e2e/support.ts';
import {
  DatabaseServer,
  leavesNothing,
  sleeps,
  sleepsUntilWoken,
  ways,
  type Place,
} from './database-server.ts';

/* Section 7 of the command contract: the row `db:import`. */

const server = await DatabaseServer.startAll();
const { fleet } = server;
after(() => endFleet(fleet));

const modes = [[], ['--in-place']] as const;

for (const way of ways) {
  describe(`db:import ${way}`, { concurrency: 3, timeout: 240_000 }, () => {
    for (const format of ['sql', 'sql.gz', 'sql.zst']) {
      it(`brings back the newest dump, of format ${format}, between its hooks`, async () => {
        const place = await server.place(way);
        const path = await place.dump('--format', format);
        for (const mode of format === 'sql' ? modes : [[]]) {
          await place.sql("UPDATE wares SET name = 'changed'", 'CREATE TABLE later()');
          const run = await place.does('db:import', ...mode);
          assert.deepEqual(await place.told(), [
            `hook_pre_db_import(${path})`,
            `hook_post_db_import(${path})`,
          ]);
          assert.equal(await place.wares(), 'as dumped');
          assert.equal(await place.sql("SELECT to_regclass('later') IS NULL"), 't');
          assert.deepEqual([run.dump?.path, run.dump?.sizeBytes], [path, (await readFile(path)).length]);
          await leavesNothing(place, run.task);
        }
      });
    }

    it('the fresh database has the old one’s owner, encoding, locale, ACL, settings, limit, comment', async () => {
      const name = `peculiar${way === 'over TCP' ? 1 : 2}`;
      await server.sql('postgres', ...peculiar(name));
      const place = await server.stack(way, name, name);
      await place.sql("CREATE TABLE wares(name text); INSERT INTO wares VALUES ('as dumped')");
      const attributes = await server.sql('postgres', attributesOf(name));
      assert.match(attributes, /"7"|: 7/);
      await place.dump();
      for (const mode of modes) {
        await place.sql('TRUNCATE wares');
        await place.does('db:import', ...mode);
        assert.equal(await server.sql('postgres', attributesOf(name)), attributes);
        assert.equal(await place.wares(), 'as dumped');
      }
    });

    it('a dump with an error in its middle leaves the old database as it was', async () => {
      const place = await server.place(way);
      const insert = "INSERT INTO public.wares VALUES ('half')";
      const path = await place.dumpWith(`${insert}; SELECT no_such_function();`);
      const run = await place.run([], 'db:import', 'broken.sql');
      assert.equal(run.exitCode, 1);
      const cause =
        /psql:<stdin>:\d+: ERROR: {2}function no_such_function\(\) does not exist; the old database stays$/;
      assert.match(run.reason, cause);
      assert.deepEqual(await place.told(), [`hook_pre_db_import(${path})`, `hook_fail_db_import(${path})`]);
      assert.equal(await place.wares(), 'as dumped');
      await leavesNothing(place, run.task);
      const inPlace = await place.fails([], 'db:import', '--in-place', 'broken.sql');
      assert.match(inPlace, new RegExp(`database ${place.database} is new and incomplete: import again`));
    });

    it('the swap ends the sessions that hold the database open; until then they work on', async () => {
      const place = await server.place(way);
      const path = await place.dump();
      for (const mode of modes) {
        await using session = await server.holdSession(place.database, 'SELECT count(*) FROM wares');
        await place.does('db:import', ...mode, path);
        await session.ended;
      }
      await place.dumpWith(sleepsUntilWoken);
      const running = place.run([], 'db:import', 'broken.sql');
      await place.untilWorking(sleeps);
      await place.sql("INSERT INTO wares VALUES ('meanwhile')");
      assert.equal(await place.wares(), 'as dumped meanwhile');
      await place.wake();
      assert.equal((await running).exitCode, 0);
      assert.equal(await place.wares(), 'as dumped');
    });

    it('the swap does not hang on the session that waits for it', async () => {
      const place = await server.place(way);
      await place.dumpWith(sleepsUntilWoken);
      await place.sql("UPDATE wares SET name = 'changed'");
      const running = place.run([], 'db:import', 'broken.sql');
      await place.untilWorking(sleeps);
      const ours = `application_name = (SELECT application_name FROM pg_stat_activity WHERE ${sleeps}
        AND datid IN (SELECT oid FROM pg_database WHERE shobj_description(oid, 'pg_database') = 'kompose: import into ${place.database}'))`;
      await server.until('a session waits', `${ours} AND datname = 'postgres'`);
      const end = 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE';
      await server.sql('postgres', `${end} ${ours} AND datname = 'postgres'`);
      await place.wake();
      const run = await running;
      assert.deepEqual([run.exitCode, run.stderr.includes('terminating')], [0, false], run.reason);
      assert.equal(await place.wares(), 'as dumped');
      await leavesNothing(place, run.task);
    });

    it('what is no finished dump is refused, before any hook', async () => {
      const place = await server.place(way);
      const whole = await readFile(await place.dump());
      const half = whole.subarray(0, whole.length / 2);
      const files: readonly [name: string, content: Uint8Array | string, reason: RegExp][] = [
        ['half.sql', half, /half\.sql is no finished dump: pg_dump's last line is not there/],
        ['half.sql.gz', gzipSync(whole).subarray(0, -20), /half\.sql\.gz is damaged or cut off/],
        ['half.sql.zst', zstdCompressSync(whole).subarray(0, -20), /half\.sql\.zst is damaged or cut off/],
        ['packed.sql.gz', gzipSync(half), /packed\.sql\.gz is no finished dump/],
        ['empty.sql', '', /empty\.sql is no finished dump/],
        ['custom.sql', 'PGDMP\x01', /custom format/],
      ];
      for (const [name, content, reason] of files) {
        await writeFile(place.path(name), content);
        assert.match(await place.fails([], 'db:import', name), reason);
      }
      assert.match(await place.fails([], 'db:import', 'missing.sql'), /there is no file .*\/missing\.sql/);
      assert.match(await place.fails([], 'db:import', '.'), / is no file$/);
      const none = await place.fails(['-e', 'DB_NAME=none'], 'db:import');
      assert.match(none, /there is no dump of database none/);
      assert.deepEqual([await place.told(), await place.wares()], [[], 'as dumped']);
    });

    it('tells how far it is, and at its end how much was restored and how fast', async () => {
      const place = await server.place(way);
      await place.sql(`CREATE TABLE z_last AS ${noise}`);
      const path = await place.dumpWith(untilReleased(place));
      const client = fleet.spawnKompose([place.stack, 'db:import', path]);
      let told = '';
      client.stderr.on('data', (chunk) => (told += String(chunk)));
      const progress = /restored [\d.]+ [kM]?B of [\d.]+ MB \(\d+ %\), [\d.]+ [kM]?B\/s\n/;
      await until('it tells', () => progress.test(told), 30_000).finally(() => release(place));
      assert.equal((await client).exitCode, 0, told);
      assert.match(told, /restored [\d.]+ MB, [\d.]+ [kM]?B\/s\n/);
    });

    it('--in-place drops the database and recreates it first, and makes one if none is there', async () => {
      const place = await server.place(way);
      const { database } = place;
      const path = await place.dumpWith(untilReleased(place));
      const ours = `datname = '${database}' OR shobj_description(oid, 'pg_database') LIKE '%into ${database}'`;
      const databases = (): Promise<string> =>
        server.sql('postgres', `SELECT oid, datname FROM pg_database WHERE ${ours}`);
      const before = await databases();
      const running = place.run([], 'db:import', '--in-place', path);
      await place.untilWorking(sleeps);
      const during = await databases();
      assert.match(during, new RegExp(`^\\d+\\|${database}$`), 'nothing stands beside it');
      assert.notEqual(during, before);
      await release(place);
      const run = await running;
      assert.equal(run.exitCode, 0, run.reason);
      assert.deepEqual([await databases(), await place.wares()], [during, 'as dumped']);
      await leavesNothing(place, run.task);

      await server.sql('postgres', `DROP DATABASE ${database}`);
      await place.does('db:import', '--in-place', path);
      assert.equal(await place.wares(), 'as dumped');
    });
  });
}

describe('db:import [FILE] [--in-place]', { concurrency: 3, timeout: 240_000 }, () => {
  it('FILE is relative to the stack’s folder; none means the newest by the time in its name', async () => {
    const place = await server.place('over TCP');
    const newest = await place.dump();
    const text = await readFile(newest, 'utf8');
    const older = `${place.database}_20200101_000000.sql`;
    await writeFile(place.path(older), text.replace('as dumped', 'long ago'));
    await writeFile(place.path(`${place.database}_test_20990101_000000.sql`), 'of another database');
    await utimes(newest, 0, 0);
    for (const [words, wares] of [
      [[older], 'long ago'],
      [[], 'as dumped'],
      [[place.path(older)], 'long ago'],
    ] as const) {
      await place.does('db:import', ...words);
      assert.equal(await place.wares(), wares);
    }
  });

  it('both renames are one transaction: there is a database of that name all the time', async () => {
    const place = await server.place('over TCP');
    await place.dump();
    const seen = `SELECT count(*) FROM pg_database WHERE datname = '${place.database}'`;
    const over = new AbortController();
    const watcher = server.psql('postgres', 'watcher', [], over.signal, `${seen} \\watch 0.005\n`);
    const run = await place.does('db:import');
    over.abort();
    const counts = (await watcher).stdout.split('\n').filter((line) => /^\d$/.test(line));
    assert.ok(counts.length > 20, `${counts.length} looks`);
    assert.deepEqual(new Set(counts), new Set(['1']));
    await leavesNothing(place, run.task);
  });

  it('a database that is not there yet is made', async () => {
    for (const [at, mode] of modes.entries()) {
      const place = await server.place(ways[at] ?? 'over TCP');
      const path = await place.dump();
      const name = `${place.database}_fresh`;
      const run = await place.run(['-e', `DB_NAME=${name}`], 'db:import', path, ...mode);
      assert.equal(run.exitCode, 0, run.reason);
      assert.equal(await server.sql(name, 'SELECT name FROM wares'), 'as dumped');
    }
  });

  it('needs no superuser, and gives up where it may not end a session', async () => {
    await server.sql('postgres', "CREATE ROLE tenant LOGIN CREATEDB PASSWORD 'of-tenant'");
    await server.sql('postgres', 'CREATE DATABASE rented OWNER tenant');
    const variables = server.tcpVariables('rented').replaceAll(/^DB_(?:USER|PASSWORD).*\n/gm, '');
    const place = await server.stack('over TCP', 'tenant', 'rented', {
      '.env': `${variables}DB_USER=tenant\nDB_PASSWORD=of-tenant\n`,
    });
    await place.sql('SET ROLE tenant', "CREATE TABLE wares AS SELECT 'as dumped' AS name");
    await place.dump();
    await place.sql("UPDATE wares SET name = 'changed'");
    {
      await using _ = await server.holdSession('rented', 'SELECT 1');
      for (const mode of modes) {
        const reason = await place.fails([], 'db:import', ...mode);
        assert.match(reason, /ERROR: .*(?:superuser|terminate).*; the old database stays$/);
        assert.equal(await place.wares(), 'changed');
      }
    }
    await place.does('db:import');
    assert.equal(await place.wares(), 'as dumped');
  });

  it('leaves alone what another import has just made, and removes it once that is gone', async () => {
    const place = await server.place('over TCP');
    const path = await place.dump();
    const task = '01jxyz0000000000000000000b';
    const made = `SELECT count(*) FROM pg_database WHERE datname = 'kompose_import_${task}'`;
    const other = await server.holdSession('postgres', 'SELECT 1', `kompose_${task}`);
    await server.sql('postgres', `CREATE DATABASE kompose_import_${task}`);
    await place.does('db:import', path);
    assert.equal(await server.sql('postgres', made), '1');
    await other[Symbol.asyncDispose]();
    await place.does('db:import', path);
    assert.equal(await server.sql('postgres', made), '0');
  });

  it('two stacks into the same database at once leave it whole', async () => {
    const place = await server.place('in the container');
    const far = await server.stack('over TCP', `${place.stack}-far`, place.database);
    const path = await place.dump();
    const both = [place, far] satisfies Place[];
    const runs = await Promise.all(both.map((each) => each.run([], 'db:import', path)));
    const reasons = runs.map(({ reason }) => reason).join('\n');
    assert.ok(
      runs.some(({ exitCode }) => exitCode === 0),
      reasons,
    );
    assert.equal(await place.wares(), 'as dumped');
    await place.does('db:import', path);
    for (const { task } of runs) await leavesNothing(place, task);
  });
});

/** About 8 MB, more than the pipes on the way into a container hold. */
const noise = 'SELECT md5(x::text) FROM generate_series(1, 250000) AS x';

/** Holds an import up until `release`. */
function untilReleased({ database }: Place): string {
  const isHeld = `NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ''go_${database}'')`;
  return `DO 'BEGIN WHILE ${isHeld} LOOP PERFORM pg_sleep(0.05); END LOOP; END';`;
}

async function release({ database }: Place): Promise<void> {
  await server.sql('postgres', `CREATE ROLE go_${database}`);
}

/** A database unlike what CREATE DATABASE makes. */
const peculiar = (name: string): string[] => [
  `CREATE ROLE "The Owner of ${name}"`,
  `CREATE ROLE reader_${name}`,
  `CREATE DATABASE ${name} TEMPLATE template0 OWNER "The Owner of ${name}" ENCODING 'LATIN1'
    LC_COLLATE 'C' LC_CTYPE 'C' CONNECTION LIMIT 7`,
  `REVOKE ALL ON DATABASE ${name} FROM PUBLIC`,
  `GRANT CONNECT ON DATABASE ${name} TO reader_${name} WITH GRANT OPTION`,
  `ALTER DATABASE ${name} SET search_path = "$user", public, "Odd, ""one"""`,
  `ALTER DATABASE ${name} SET "my.setting" = 'it''s "1"'`,
  `ALTER DATABASE ${name} SET "DateStyle" = 'SQL, DMY'`,
  `ALTER ROLE reader_${name} IN DATABASE ${name} SET work_mem = '8MB'`,
  `COMMENT ON DATABASE ${name} IS 'the shop''s :data'`,
];

function attributesOf(database: string): string {
  return `SELECT to_jsonb(d) - 'oid' - 'dattablespace' - 'datfrozenxid' - 'datminmxid'
      || jsonb_build_object('comment', shobj_description(d.oid, 'pg_database'), 'settings',
        (SELECT jsonb_agg(jsonb_build_array(setrole, setconfig) ORDER BY setrole) FROM pg_db_role_setting
          WHERE setdatabase = d.oid))
    FROM pg_database AS d WHERE datname = '${database}'`;
}
