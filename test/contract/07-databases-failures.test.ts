import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { execa } from 'execa';
import { terminateMarked } from '../../agent/process/marked-processes.ts';
import { kompose } from '../fleet/release.ts';
import { endFleet, isRunning, jsonLines, outputOf, until } from '../e2e/support.ts';
import {
  DatabaseServer,
  host,
  leavesNothing,
  password,
  pidsWith,
  processesWith,
  sleeps,
  sleepsUntilWoken,
  waitsForLock,
  ways,
  type DatabaseRun,
  type Place,
  type Way,
} from './database-server.ts';

/*
 * Section 7 of the command contract, where something goes wrong: the old database and the old dumps stay, no partial
 * file, process, session or database is left, and the reason names the cause.
 */

const server = await DatabaseServer.startAll();
const { fleet } = server;
const doomed = new DatabaseServer(fleet, 'doomed');
await doomed.start();
after(() => endFleet(fleet));

/** An export and an import that are held up, each on a place of its own. */
interface InTheMiddle extends AsyncDisposable {
  readonly exporting: Place;
  readonly importing: Place;
  /** Of the export and the import, in this order. */
  readonly runs: Promise<DatabaseRun[]>;
}

/** Starts both where there is an old dump, and resolves when they are held up. */
async function inTheMiddle(way: Way, on: DatabaseServer, ...options: string[]): Promise<InTheMiddle> {
  const [exporting, importing] = await Promise.all([on.place(way), on.place(way)]);
  await Promise.all([exporting.dump(), importing.dumpWith('SELECT pg_sleep(600);')]);
  const session = await on.holdSession(exporting.database, 'LOCK TABLE wares');
  const runs = Promise.all([
    exporting.run(options, 'db:export'),
    importing.run(options, 'db:import', 'broken.sql'),
  ]);
  await Promise.all([exporting.untilWorking(waitsForLock), importing.untilWorking(sleeps)]);
  assert.match((await exporting.dumps()).join(), /^\.[^,]*\.sql\.partial,[^,]*\.sql$/);
  return { exporting, importing, runs, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() };
}

/** SIGKILL to all tools of these databases and what keeps them, here and in containers. */
async function killToolsOf(places: readonly Place[]): Promise<void> {
  for (const { database } of places) {
    const marker = `kompose: import into ${database}`;
    const scratch = `SELECT datname FROM pg_database WHERE shobj_description(oid, 'pg_database') = '${marker}'`;
    const mine = `application_name LIKE 'kompose_%' AND (datname = '${database}' OR datname IN (${scratch}))`;
    const mark = await server.sql(
      'postgres',
      `SELECT DISTINCT application_name FROM pg_stat_activity WHERE ${mine}`,
    );
    await terminateMarked(`PGAPPNAME=${mark}`, 0);
  }
}

/** Holds pg_dump up, which waits for a lock, once it has that and has written some of a dump; gives its id. */
async function pausedDump(place: Place, lock: AsyncDisposable): Promise<number> {
  await place.untilWorking(waitsForLock);
  const name = `SELECT application_name FROM pg_stat_activity WHERE datname = '${place.database}' AND application_name LIKE 'kompose%'`;
  const mark = `PGAPPNAME=${await place.server.sql('postgres', name)}`;
  const [pid] = await pidsWith(mark, 'pg_dump');
  assert.ok(pid !== undefined);
  await lock[Symbol.asyncDispose]();
  await until('some of the dump is written', async () => {
    const [partial] = await place.dumps();
    return partial !== undefined && (await stat(place.path(partial))).size > 1_000_000;
  });
  process.kill(pid, 'SIGSTOP');
  assert.match((await place.dumps()).join(), /^\.[^,]*\.sql\.partial$/);
  return pid;
}

async function oldStays({ exporting, importing }: InTheMiddle): Promise<void> {
  assert.match((await exporting.dumps()).join(), /^[a-z]+\d+_\d{8}_\d{6}\.sql$/);
  assert.equal(await importing.wares(), 'as dumped');
}

async function leaveNothing({ exporting, importing, runs }: InTheMiddle): Promise<void> {
  const [exported, imported] = await runs;
  await leavesNothing(exporting, exported?.task ?? '');
  await leavesNothing(importing, imported?.task ?? '');
}

/** One after the other: each takes the server, or the agent, away from all that run. */
describe('in the middle of an export and of an import', { timeout: 240_000 }, () => {
  it('the server goes away', async () => {
    const [inside, outside] = await Promise.all(ways.map((way) => inTheMiddle(way, doomed)));
    assert.ok(inside !== undefined && outside !== undefined);
    await doomed.kill();
    const restart = inside.runs.then(() => doomed.start());
    for (const { runs } of [inside, outside]) {
      const [exported, imported] = await runs;
      assert.match(exported?.reason ?? '', /^pg_dump ended with exit code \d+/);
      assert.match(imported?.reason ?? '', /^psql ended with .*; the old database stays/);
    }
    const [, left] = await inside.runs;
    assert.match(left?.reason ?? '', /kompose_import_\w+ could not be dropped: the next import will/);
    await restart;
    for (const each of [inside, outside]) {
      await oldStays(each);
      await each.importing.does('db:import', await each.importing.dump());
      await leaveNothing(each);
      await each[Symbol.asyncDispose]();
    }
  });

  it('the agent is killed: both go on, and its successor brings them to their end', async () => {
    const places = await Promise.all(ways.flatMap((way) => [server.place(way), server.place(way)]));
    const [exporting = [], importing = []] = [0, 1].map((odd) => places.filter((_, at) => at % 2 === odd));
    for (const place of importing) {
      await place.dumpWith(sleepsUntilWoken);
      await place.sql("UPDATE wares SET name = 'changed'");
    }
    const held = await Promise.all(
      exporting.map((place) => server.holdSession(place.database, 'LOCK TABLE wares')),
    );
    const exports = exporting.map((place) => place.run([], 'db:export'));
    const imports = importing.map((place) => place.run([], 'db:import', 'broken.sql'));
    await Promise.all(exporting.map((place) => place.untilWorking(waitsForLock)));
    await Promise.all(importing.map((place) => place.untilWorking(sleeps)));
    await fleet.kill(host);
    // The first dump is written, and all imports read theirs in, while there is no agent.
    await Promise.all([held[0]?.[Symbol.asyncDispose](), ...importing.map((place) => place.wake())]);
    const first = exporting[0]?.database;
    const working = `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'kompose_%'`;
    const isOf = `(datname = '${first}' OR datname LIKE 'kompose_import_%')`;
    await until(
      'the tools have ended',
      async () => (await server.sql('postgres', `${working} AND ${isOf}`)) === '0',
    );
    await fleet.startAgent(host);
    await held[1]?.[Symbol.asyncDispose]();
    for (const [at, place] of exporting.entries()) {
      const run = await exports[at];
      assert.deepEqual([run?.state, run?.reason], ['succeeded', '']);
      const { path = '', sizeBytes, sha256 } = run?.dump ?? {};
      const dump = await readFile(path);
      assert.deepEqual([dump.length, createHash('sha256').update(dump).digest('hex')], [sizeBytes, sha256]);
      assert.match(dump.toString(), /^-- PostgreSQL database dump complete$/m);
      assert.equal(outputOf(run?.events ?? [], 'action', 'stdout'), `${path}\n`);
      assert.deepEqual(await place.dumps(), [basename(path)]);
      assert.deepEqual(await place.told(), ['hook_pre_db_export()', `hook_post_db_export(${path})`]);
      await leavesNothing(place, run?.task ?? '');
    }
    for (const [at, place] of importing.entries()) {
      const run = await imports[at];
      assert.deepEqual([run?.state, run?.reason], ['succeeded', '']);
      assert.equal(await place.wares(), 'as dumped');
      await leavesNothing(place, run?.task ?? '');
    }
  });

  it('the agent is upgraded: the dump goes on under the next one, whole, and its output has no gap', async () => {
    const places = await Promise.all(ways.map((way) => server.place(way)));
    const rows = `SELECT i, repeat(md5(i::text), 32) AS text FROM generate_series(1, 80000) AS i`;
    for (const place of places) await place.sql(`CREATE TABLE rows AS ${rows}`);
    const begun = places.map(async (place) => {
      const lock = await server.holdSession(place.database, 'LOCK TABLE rows');
      const run = place.run([], 'db:export');
      return { run, pid: await pausedDump(place, lock) };
    });
    const exports = await Promise.all(begun);
    for (let time = 0; time < 2; time++) {
      assert.equal((await fleet.kill(host, 'SIGTERM')).exitCode, 0);
      if (time === 0) for (const { pid } of exports) process.kill(pid, 'SIGCONT');
      await fleet.startAgent(host);
    }
    const digest = `SELECT count(*), md5(string_agg(text, '' ORDER BY i)) FROM rows`;
    for (const [at, place] of places.entries()) {
      const run = await exports[at]?.run;
      assert.deepEqual([run?.state, run?.reason], ['succeeded', '']);
      const path = run?.dump?.path ?? '';
      const dump = await readFile(path);
      assert.equal(run?.dump?.sha256, createHash('sha256').update(dump).digest('hex'));
      const restored = `${place.database}_restored`;
      await server.sql('postgres', `CREATE DATABASE ${restored}`);
      await server.psql(restored, 'test', [], undefined, dump.toString());
      assert.equal(await server.sql(restored, digest), await place.sql(digest));
      assert.equal(outputOf(run.events, 'action', 'stdout'), `${path}\n`);
      assert.deepEqual(await place.told(), ['hook_pre_db_export()', `hook_post_db_export(${path})`]);
      const later = await fleet.kompose(['-o', 'json', 'runs', 'attach', String(run.events[0]?.run)]);
      assert.deepEqual(jsonLines(later.stdout), run.events);
      assert.equal(run.events.filter(({ type }) => type === 'task.started').length, 1);
      await leavesNothing(place, run.task);
    }
  });

  it('the agent and its tools are killed: its successor undoes all', async () => {
    const all = await Promise.all(ways.map((way) => inTheMiddle(way, server)));
    await fleet.kill(host);
    await killToolsOf(all.flatMap(({ exporting, importing }) => [exporting, importing]));
    await fleet.startAgent(host);
    for (const each of all) {
      const states = (await each.runs).map(({ state }) => state);
      assert.deepEqual(states, ['lost', 'lost']);
      await until('the partial dump is gone', async () => (await each.exporting.dumps()).length === 1);
      await until('the scratch database is gone', async () => (await scratchOf(each)) === '0', 60_000);
      await oldStays(each);
      await leaveNothing(each);
      await each[Symbol.asyncDispose]();
    }
  });

  it('the agent is killed while it swaps: the swap ends by itself, and the database takes connections', async () => {
    for (const way of ways) {
      const place = await server.place(way);
      await place.dumpWith(sleepsUntilWoken);
      await place.sql("UPDATE wares SET name = 'changed'");
      const run = place.run([], 'db:import', 'broken.sql');
      await place.untilWorking(sleeps);
      const slow = await server.holdSession(
        'postgres',
        'LOCK TABLE pg_catalog.pg_shdescription IN SHARE MODE',
      );
      await place.wake();
      await server.until(
        'it swaps',
        `query LIKE 'COMMENT ON DATABASE ${place.database} %' AND ${waitsForLock}`,
      );
      await fleet.kill(host);
      await slow[Symbol.asyncDispose]();
      await fleet.startAgent(host);
      const { state, task } = await run;
      assert.equal(state, 'lost');
      const left = `SELECT count(*) FROM pg_database WHERE datname ~ 'kompose_import_${task.toLowerCase()}'`;
      await until('nothing is left', async () => (await server.sql('postgres', left)) === '0', 60_000);
      assert.equal(await place.wares(), 'as dumped');
      await leavesNothing(place, task);
    }
  });

  const scratchOf = async ({ runs }: InTheMiddle): Promise<string> => {
    const task = (await runs)[1]?.task.toLowerCase() ?? '';
    return server.sql(
      'postgres',
      `SELECT count(*) FROM pg_database WHERE datname ~ 'kompose_import_${task}'`,
    );
  };
});

describe('a failure', { concurrency: 4, timeout: 240_000 }, () => {
  for (const way of ways) {
    it(`--timeout ends an export and an import, ${way}`, async () => {
      await using both = await inTheMiddle(way, server, '--timeout', '15s');
      for (const { exitCode, state, reason } of await both.runs) {
        assert.deepEqual([exitCode, state], [1, 'timed-out'], reason);
      }
      const [, imported] = await both.runs;
      assert.match(imported?.notices ?? '', /^all [\d.]+ k?B read, the server is still at work on it$/m);
      await oldStays(both);
      await leaveNothing(both);
    });

    it(`Ctrl-C ends an export and an import, ${way}`, async () => {
      const places = await Promise.all([server.place(way), server.place(way)]);
      const [exporting, importing] = places;
      await importing.dumpWith('SELECT pg_sleep(600);');
      await using _ = await server.holdSession(exporting.database, 'LOCK TABLE wares');
      const clients = [
        fleet.spawnKompose([exporting.stack, 'db:export']),
        fleet.spawnKompose([importing.stack, 'db:import', 'broken.sql']),
      ];
      await Promise.all([exporting.untilWorking(waitsForLock), importing.untilWorking(sleeps)]);
      for (const client of clients) client.kill('SIGINT');
      for (const { exitCode } of await Promise.all(clients)) assert.equal(exitCode, 130);
      assert.deepEqual([await exporting.dumps(), await importing.wares()], [[], 'as dumped']);
      for (const { database } of places) {
        const ours = `application_name LIKE 'kompose%' AND datname = '${database}'`;
        const sessions = `SELECT count(*) FROM pg_stat_activity WHERE ${ours}`;
        assert.equal(await server.sql('postgres', sessions), '0');
        const marker = `SELECT count(*) FROM pg_database
          WHERE shobj_description(oid, 'pg_database') = 'kompose: import into ${database}'`;
        assert.equal(await server.sql('postgres', marker), '0');
      }
    });

    it(`a full disk under the dump, ${way}`, async () => {
      const database = await server.newDatabase();
      const folder = join(fleet.stacks(host), `${database}-full`);
      await mkdir(folder);
      await execa('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]);
      try {
        const place = await server.stack(way, basename(folder), database);
        const old = await place.dump();
        const noise = "SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 100000)";
        await place.sql(`CREATE TABLE noise AS ${noise}`);
        for (const format of ['sql', 'sql.zst']) {
          assert.match(await place.fails([], 'db:export', '--format', format), /no space left/i);
          assert.deepEqual(await place.dumps(), [basename(old)]);
        }
        assert.match((await place.told()).at(-1) ?? '', /^hook_fail_db_export\(\/.*\.sql\.zst\)$/);
      } finally {
        await execa('umount', [folder]);
        await rm(folder, { recursive: true });
      }
    });

    it(`what a killed export left is removed by the next one, but nothing that is being written, ${way}`, async () => {
      const place = await server.place(way);
      const name = (database: string, second: number): string =>
        `.${database}_20200101_00000${second}.sql.partial`;
      const [left, written, other] = [name(place.database, 0), name(place.database, 1), name('other', 0)];
      for (const file of [left, written, other]) await writeFile(place.path(file), 'x');
      const writer = execa('sleep', ['60'], { stdout: { file: place.path(written) }, reject: false });
      await until('it is open', () => isRunning(writer.pid ?? 0));
      const dump = basename(await place.dump());
      writer.kill('SIGKILL');
      assert.deepEqual(await place.dumps(), [other, written, dump].toSorted());
    });
  }

  it('a full disk under the server', async () => {
    await fleet.rig.docker(host, [
      'exec',
      server.container,
      'sh',
      '-c',
      'mkdir /small/t && chown postgres /small/t',
    ]);
    await server.sql('postgres', "CREATE TABLESPACE small LOCATION '/small/t'");
    const database = await server.newDatabase('TABLESPACE small');
    for (const way of ways) {
      const place = await server.stack(way, `${database}-${way.replaceAll(' ', '-')}`, database);
      const filler = 'SELECT repeat(md5(i::text), 1000) FROM generate_series(1, 100000) AS i';
      const broken = await place.dumpWith(
        `CREATE TABLE public.filler(x text); ALTER TABLE public.filler ALTER x SET STORAGE EXTERNAL; INSERT INTO public.filler ${filler};`,
      );
      const run = await place.run([], 'db:import', broken);
      assert.match(
        run.reason,
        /could not (?:extend|write).*No space left on device; the old database stays$/,
      );
      assert.equal(await place.wares(), 'as dumped');
      await leavesNothing(place, run.task);
    }
  });

  it('a wrong password', async () => {
    const place = await server.place('over TCP');
    const dump = await place.dump();
    for (const words of [['db:export'], ['db:import'], ['db:import', '--in-place']]) {
      const reason = await place.fails(['-e', 'DB_PASSWORD=wrong-one'], ...words);
      assert.match(reason, /password authentication failed for user "app"/);
      assert.doesNotMatch(reason, /wrong-one/);
    }
    assert.deepEqual([await place.dumps(), await place.wares()], [[basename(dump)], 'as dumped']);
  });

  it('a server that is not there, and a container that does not run', async () => {
    const [place, idle] = await Promise.all([server.place('over TCP'), server.place('in the container')]);
    const refused = await place.fails(['-e', 'DB_PORT=1'], 'db:export');
    assert.match(refused, /^pg_dump ended with exit code 1: .*Connection refused/);
    const stopped = await idle.fails(['-e', 'COMPOSE_PROJECT_NAME=nowhere'], 'db:export');
    assert.match(stopped, /service "db" is not running/);
    assert.deepEqual([...(await place.dumps()), ...(await idle.dumps())], []);
  });

  it('a program that is missing, before any hook', async () => {
    const [far, near] = await Promise.all([server.place('over TCP'), server.place('in the container')]);
    const programs = far.path('bin');
    await mkdir(programs);
    for (const program of ['docker', 'bash', 'psql']) {
      const { stdout } = await execa('which', [program], { env: fleet.rig.host(host).env });
      await symlink(stdout, join(programs, program));
    }
    const path = ['-e', `PATH=${programs}`];
    assert.match(await far.fails(path, 'db:export'), /pg_dump is not on this host's PATH: install/);
    const packing = await near.fails(path, 'db:export', '--format', 'sql.zst');
    assert.match(packing, /zstd is not on this host's PATH: install/);
    assert.deepEqual([...(await far.told()), ...(await near.told())], []);
  });

  it('kompose itself is killed without an agent: what is left is ended and undone at once, and nothing else', async () => {
    const [exporting, importing] = [await server.place('in the container'), await server.place('over TCP')];
    await importing.dumpWith('SELECT pg_sleep(600);');
    const variables = server.tcpVariables(importing.database).replace(/^DB_PASSWORD.*\n/m, '');
    await fleet.writeStack(host, importing.stack, { '.env': variables });
    await using _ = await server.holdSession(exporting.database, 'LOCK TABLE wares');
    const foreign = 'kompose_import_01jxyz0000000000000000000a';
    await server.sql('postgres', `CREATE DATABASE ${foreign}`, `COMMENT ON DATABASE ${foreign} IS 'mine'`);
    const killed = [
      locally('-e', `DB_PASSWORD=${password}`, importing.stack, 'db:import', 'broken.sql'),
      locally(exporting.stack, 'db:export'),
    ];
    await Promise.all([exporting.untilWorking(waitsForLock), importing.untilWorking(sleeps)]);
    assert.match((await exporting.dumps()).join(), /\.sql\.partial$/);
    for (const each of killed) each.kill('SIGKILL');
    await Promise.all(killed);
    const scratch =
      "SELECT string_agg(datname, ' ') FROM pg_database d WHERE shobj_description(oid, 'pg_database')";
    const ofImport = `${scratch} = 'kompose: import into ${importing.database}'`;
    await until('the scratch database is gone', async () => (await server.sql('postgres', ofImport)) === '');
    await until('the partial dump is gone', async () => (await exporting.dumps()).length === 0);
    assert.equal(await importing.wares(), 'as dumped');
    assert.equal(await server.sql('postgres', `${scratch} = 'mine'`), foreign);
    for (const { database } of [exporting, importing])
      await until('no tool is left', async () => (await processesWith(`DB_NAME=${database}`)).length === 0);
  });
});

/** `kompose --local` on the stacks of the host. */
function locally(...words: string[]) {
  const { env, argvPrefix } = fleet.rig.host(host);
  const [nsenter = 'env', ...inside] = argvPrefix;
  const home = { KOMPOSE_HOME: join(fleet.folder, 'nobody'), KOMPOSE_STACKS: fleet.stacks(host) };
  const argv = [...inside, process.execPath, kompose, '--local', ...words];
  return execa(nsenter, argv, { env: { ...env, ...home }, reject: false });
}
