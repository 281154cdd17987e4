import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { after, describe, it } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { execa } from 'execa';
import { kompose } from '../fleet/release.ts';
import { endFleet, jsonLines, outputOf, runJson, until } from '../e2e/support.ts';
import { DatabaseServer, host, waitsForLock, ways, type Place } from './database-server.ts';

/* Section 7 of the command contract: the rows `db:export` and `db:cleanup`, and what `details` says of them. */

const server = await DatabaseServer.startAll();
const { fleet } = server;
after(() => endFleet(fleet));

const formats = ['sql', 'sql.gz', 'sql.zst'] as const;
const unpack = {
  sql: (bytes: Buffer) => bytes,
  'sql.gz': (bytes: Buffer) => gunzipSync(bytes),
  'sql.zst': (bytes: Buffer) => zstdDecompressSync(bytes),
} as const;

for (const way of ways) {
  describe(`db:export ${way}`, { concurrency: 3, timeout: 120_000 }, () => {
    for (const format of formats) {
      it(`--format ${format}: a whole dump, 0600, named by database and time, its digest recorded`, async () => {
        const place = await server.place(way);
        const run = await place.does('db:export', '--format', format);
        assert.deepEqual(run.steps, ['pre succeeded', 'action succeeded', 'post succeeded']);
        const [name = '', ...others] = await place.dumps();
        assert.deepEqual(others, []);
        assert.match(name, new RegExp(`^${place.database}_\\d{8}_\\d{6}\\.${format.replace('.', '\\.')}$`));
        const path = place.path(name);
        assert.deepEqual(await place.told(), ['hook_pre_db_export()', `hook_post_db_export(${path})`]);
        assert.equal((await stat(path)).mode & 0o777, 0o600);
        assert.equal(outputOf(run.events, 'action', 'stdout'), `${path}\n`);
        const bytes = await readFile(path);
        const sha256 = createHash('sha256').update(bytes).digest('hex');
        assert.deepEqual(run.dump, { path, sizeBytes: bytes.length, sha256 });
        assert.match(run.notices, new RegExp(`^dumped .*, SHA-256 ${sha256}$`, 'm'));
        const text = unpack[format](bytes).toString();
        assert.match(text, /as dumped[^]*PostgreSQL database dump complete/);
      });
    }

    it('a name that needs quoting is dumped, imported and cleaned up', async () => {
      const name = `We "ird" d'b = 100% Größe/${way === 'over TCP' ? 1 : 2}`;
      const identifier = `"${name.replaceAll('"', '""')}"`;
      await server.sql('postgres', `CREATE DATABASE ${identifier}`);
      await server.sql('postgres', `COMMENT ON DATABASE ${identifier} IS 'it''s :odd; \\q'`);
      const place = await server.stack(way, way === 'over TCP' ? 'quoted-1' : 'quoted-2', 'x');
      const named = ['-e', `DB_NAME=${name}`];
      await server.sql(name, 'CREATE TABLE t AS SELECT 1 AS x');
      const { dump, reason } = await place.run(named, 'db:export');
      assert.match(basename(dump?.path ?? reason), /^We "ird" d'b = 100% Größe%2F\d_\d{8}_\d{6}\.sql$/);
      for (const words of [[], ['--in-place']]) {
        await server.sql(name, 'DROP TABLE t');
        const imported = await place.run(named, 'db:import', ...words);
        assert.equal(imported.exitCode, 0, imported.reason);
        assert.equal(await server.sql(name, 'SELECT x FROM t'), '1');
        const comment = `SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $$${name}$$`;
        assert.equal(await server.sql('postgres', comment), `it's :odd; \\q`);
      }
      assert.equal((await place.run(named, 'db:cleanup', '--keep', '0')).exitCode, 0);
      assert.deepEqual(await place.dumps(), []);
    });

    it('is written beside its final name, and tells how far it is, but not on stdout', async () => {
      const place = await server.place(way);
      const noise = "SELECT string_agg(md5(random()::text), '') AS x FROM generate_series(1, 3000)";
      await place.sql(`CREATE TABLE a_first AS ${noise}`, 'CREATE TABLE z_last()');
      const run = await (async () => {
        await using _ = await server.holdSession(place.database, 'LOCK TABLE z_last');
        const progress = fleet.spawnKompose([place.stack, 'db:export']);
        await place.untilWorking(waitsForLock);
        await until('it is on its way', async () => (await place.dumps()).length === 1);
        assert.match((await place.dumps()).join(), /^\.[a-z]+\d+_\d{8}_\d{6}\.sql\.partial$/);
        let told = '';
        progress.stderr.on('data', (chunk) => (told += String(chunk)));
        await until('it tells', () => /dumped \d+ k?B, [\d.]+ k?B\/s\n/.test(told), 60_000);
        return { progress };
      })();
      const { exitCode, stdout } = await run.progress;
      const dumps = await place.dumps();
      assert.deepEqual([exitCode, stdout], [0, `${place.path(dumps[0] ?? '')}\n`]);
      assert.match(dumps.join(), /^[a-z]+\d+_\d{8}_\d{6}\.sql$/);
    });

    it('a failing pre hook keeps it from running; a failing post hook leaves the dump', async () => {
      const place = await server.place(way);
      const pre = await place.run(['-e', 'FAIL=pre'], 'db:export');
      assert.deepEqual([pre.exitCode, pre.steps], [1, ['pre failed', 'fail succeeded']]);
      assert.deepEqual(await place.dumps(), []);
      const [, fail = ''] = await place.told();
      assert.match(fail, /^hook_fail_db_export\(\/.*\/[a-z]+\d+_\d{8}_\d{6}\.sql\)$/);
      const post = await place.run(['-e', 'FAIL=post'], 'db:export');
      assert.deepEqual([post.exitCode, post.steps.at(-2)], [1, 'post failed']);
      assert.deepEqual(await place.dumps(), [basename(post.dump?.path ?? '')]);
      assert.match(post.dump?.sha256 ?? '', /^[0-9a-f]{64}$/);
    });
  });
}

describe('db:export [--format sql|sql.gz|sql.zst]', { concurrency: 3, timeout: 120_000 }, () => {
  it('names the dump by the host’s local time, and works without a controller', async () => {
    const place = await server.place('in the container');
    const { stdout } = await locally(place, { TZ: 'Pacific/Kiritimati' }, 'db:export');
    const [, day = ''] = /_(\d{8})_\d{6}\.sql$/.exec(stdout) ?? [];
    const there = new Date(Date.now() + 14 * 3600_000).toISOString().slice(0, 10).replaceAll('-', '');
    const west = await locally(place, { TZ: 'Etc/GMT+12' }, 'db:export');
    assert.equal(day, there);
    assert.ok((/_(\d{8})_/.exec(west.stdout)?.[1] ?? '') < day);
    await place.sql('TRUNCATE wares');
    await locally(place, {}, 'db:import');
    assert.equal(await place.wares(), 'as dumped');
  });

  it('takes the next free second where that name is taken', async () => {
    const place = await server.place('over TCP');
    const name = (at: number): string => {
      const time = new Date(at).toISOString().replaceAll(/[-:]/g, '').slice(0, 15).replace('T', '_');
      return `${place.database}_${time}.sql.gz`;
    };
    const now = Date.now();
    const taken = Array.from({ length: 60 }, (_, second) => name(now + second * 1000));
    for (const file of taken) await writeFile(place.path(file), 'kept');
    const path = await place.dump();
    const last = taken.at(-1) ?? '';
    assert.ok(basename(path) > last, `${path} after ${last}`);
    assert.ok(basename(path) <= name(now + 120_000));
  });

  it('two at once: the second waits for the first, and both dumps stay', async () => {
    const place = await server.place('in the container');
    const runs = await Promise.all([place.does('db:export'), place.does('db:export')]);
    const paths = runs.map(({ dump }) => basename(dump?.path ?? ''));
    assert.deepEqual(await place.dumps(), paths.toSorted());
    assert.equal(new Set(paths).size, 2);
    assert.ok(runs.some(({ events }) => events.some(({ waitingFor }) => waitingFor?.includes('db:export'))));
  });

  it('its path, size and SHA-256 are in `audit` and `runs show`, and no password', async () => {
    const place = await server.place('in the container');
    const { dump, events } = await place.does('db:export');
    const run = events[0]?.run ?? '';
    const audit = await fleet.kompose(['audit', 'ls', '-o', 'json']);
    const record = jsonLines(audit.stdout).findLast((each) => each.run === run && each.dump !== undefined);
    assert.deepEqual(record?.dump, dump);
    assert.doesNotMatch(audit.stdout, /s3cret/);
    const json = await fleet.kompose(['runs', 'show', run, '-o', 'json']);
    assert.deepEqual(jsonLines(json.stdout).find((each) => each.dump !== undefined)?.dump, dump);
    const shown = await fleet.kompose(['runs', 'show', run]);
    assert.ok(
      shown.stdout.includes(dump?.path ?? '?') && shown.stdout.includes(dump?.sha256 ?? '?'),
      shown.stdout,
    );
  });

  it('its path is shown also where it holds the text of a secret', async () => {
    const place = await server.place('in the container');
    const { stdout } = await fleet.kompose(['-e', `DB_TOKEN=${place.database}`, place.stack, 'db:export']);
    assert.match(stdout, new RegExp(`/${place.stack}/${place.database}_\\d{8}_\\d{6}\\.sql\\n$`));
    assert.match((await place.told()).join(), new RegExp(`hook_post_db_export\\(.*/${place.database}_`));
  });

  it('a dry run shows the steps and touches nothing', async () => {
    const place = await server.place('in the container');
    await place.dump();
    const there = await place.dumps();
    for (const [command, program] of Object.entries({ export: 'pg_dump', import: 'psql', cleanup: 'rm' })) {
      const { exitCode, events } = await runJson(fleet, [
        '-n',
        place.stack,
        `db:${command}`,
        ...(all[command] ?? []),
      ]);
      const steps = events.flatMap(({ type, step, name }) =>
        type === 'plan.step' ? [`${step} ${name}`] : [],
      );
      const [pre, post, fail] = ['pre', 'post', 'fail'].map((when) => `${when} hook_${when}_db_${command}`);
      assert.deepEqual([exitCode, ...steps], [0, pre, `action ${program}`, post, fail]);
    }
    assert.deepEqual([await place.dumps(), await place.told()], [there, []]);
  });

  it('a word that a database command does not know is 2 and one line', async () => {
    for (const words of [
      ['db:export', '--frmat', 'sql'],
      ['db:export', '--format', 'tar'],
      ['db:export', 'file'],
      ['db:import', 'a', 'b'],
      ['db:cleanup', '--keep', 'x'],
      ['db:drop'],
    ]) {
      const { exitCode, stderr } = await fleet.kompose([server.project, ...words]);
      assert.equal(exitCode, 2);
      assert.match(stderr, /^kompose: .*\n$/);
    }
  });
});

const all: Readonly<Record<string, readonly string[]>> = { cleanup: ['--keep', '0'] };

describe('db:cleanup [--keep N]', { concurrency: 3, timeout: 120_000 }, () => {
  const others = (database: string): string[] =>
    [`_test_20200101_000000.sql`, '_20200101.sql', '_20200101_000000.sql.bak'].map((end) => database + end);
  const dumps = (database: string): string[] =>
    ['_20260103_000000.sql', '_20260102_000000.sql.gz', '_20260101_000000.sql.zst'].map(
      (end) => database + end,
    );

  it('keeps the newest N of exactly this database, all formats together, and says which it removes', async () => {
    const place = await server.stack('in the container', 'cleaned', 'shop');
    for (const file of [...others('shop'), ...dumps('shop')]) await writeFile(place.path(file), '');
    const [first = '', second = '', third = ''] = dumps('shop').map((file) => place.path(file));
    const two = await fleet.kompose([place.stack, 'db:cleanup', '--keep', '2']);
    assert.deepEqual([two.exitCode, two.stdout], [0, `removed ${third}\n`]);
    assert.deepEqual(await place.told(), ['hook_pre_db_cleanup()', `hook_post_db_cleanup(${third})`]);
    const one = await fleet.kompose([place.stack, 'db:cleanup']);
    assert.deepEqual([one.exitCode, one.stdout], [0, `removed ${second}\n`]);
    assert.deepEqual(await place.dumps(), [...others('shop'), basename(first)].toSorted());
    await place.told();
    const nothing = await fleet.kompose([place.stack, 'db:cleanup', '--keep=5']);
    assert.deepEqual([nothing.exitCode, nothing.stdout], [0, '']);
    assert.deepEqual(await place.told(), ['hook_pre_db_cleanup()', 'hook_post_db_cleanup()']);
  });

  it('needs no server, and its fail hook gets what was or would have been removed', async () => {
    const place = await server.stack('over TCP', 'far-cleaned', 'gone');
    const [first = '', second = '', third = ''] = dumps('gone');
    for (const file of [first, second, third]) await writeFile(place.path(file), '');
    const paths = `${place.path(second)} ${place.path(third)}`;
    await place.fails(['-e', 'FAIL=pre'], 'db:cleanup');
    assert.deepEqual(await place.told(), ['hook_pre_db_cleanup()', `hook_fail_db_cleanup(${paths})`]);
    assert.deepEqual(await place.dumps(), [third, second, first]);
    await place.fails(['-e', 'FAIL=post'], 'db:cleanup');
    assert.equal((await place.told()).at(-1), `hook_fail_db_cleanup(${paths})`);
    assert.deepEqual(await place.dumps(), [first]);
  });
});

/** kompose without a controller, on the host. */
async function locally(place: Place, own: Readonly<Record<string, string>>, ...words: readonly string[]) {
  const { env, argvPrefix } = fleet.rig.host(host);
  const [nsenter = 'env', ...inside] = argvPrefix;
  const argv = [...inside, process.execPath, kompose, '--local', place.stack, ...words];
  const home = { KOMPOSE_HOME: `${fleet.folder}/nobody`, KOMPOSE_STACKS: fleet.stacks(host) };
  const result = await execa(nsenter, argv, { env: { ...env, ...home, ...own }, reject: false });
  assert.equal(result.exitCode, 0, result.stderr);
  return result;
}
