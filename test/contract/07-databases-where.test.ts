import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { endFleet, idleService, runJson, untilKnown, writeStacks, type EventsOfRun } from '../e2e/support.ts';
import {
  DatabaseServer,
  Place,
  host,
  password,
  processesWith,
  tellingHooks,
  waitsForLock,
} from './database-server.ts';

/* Section 7 of the command contract, where the database is: in a service's container, or over TCP. */

const server = await DatabaseServer.startAll();
const { fleet } = server;
after(() => endFleet(fleet));

const service = (name: string, image: string, environment: Readonly<Record<string, string>> = {}): string =>
  `  ${name}:\n    image: ${image}\n    environment: ${JSON.stringify(environment)}\n`;
const composeOf = (...services: readonly string[]): string => `services:\n${services.join('')}`;
const web = service('web', 'busybox:local');

/** The argv of what would dump each stack of the pattern, by stack. */
async function planned(pattern: string, ...options: readonly string[]): Promise<Record<string, string>> {
  const run = await runJson(fleet, [...options, '-n', pattern, 'db:export']);
  assert.equal(run.exitCode, 0, run.stderr);
  const actions = run.events.filter(({ type, step }) => type === 'plan.step' && step === 'action');
  return Object.fromEntries(actions.map(({ stack = '', argv = [] }) => [stack, argv.join(' ')]));
}

const stateOf = (run: EventsOfRun, stack: string): string | undefined => run.ends[`${host}:${stack}`]?.state;
const reasonOf = (run: EventsOfRun, stack: string): string => run.ends[`${host}:${stack}`]?.reason ?? '';

const inService = (name: string, user: string, database: string): RegExp =>
  new RegExp(`^docker compose exec -T .* ${name} pg_dump --username=${user} .*--dbname=${database}$`);

const postgresImages = {
  plain: 'postgres',
  tagged: 'postgres:17-alpine',
  part: 'registry.example:5000/library/my-postgres-16:1',
  gis: 'postgis/postgis:17-3.5@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
  vector: 'pgvector/pgvector:pg16',
  timescale: 'timescale/timescaledb:latest-pg16',
};
const otherImages = { path: 'postgres/pgadmin', tag: 'mine:postgres', near: 'pgvectors', sql: 'mysql:8' };

before(async () => {
  const images = Object.entries({ ...postgresImages, ...otherImages });
  const stacks = images.map(
    ([name, image]) =>
      [`${host}:image-${name}`, { 'compose.yaml': composeOf(service('db', image), web) }] as const,
  );
  const two = composeOf(service('one', 'postgres:15'), service('two', 'postgres:15'));
  const named = { POSTGRES_DB: 'shop', POSTGRES_USER: 'app', POSTGRES_PASSWORD: 'of the service' };
  const all = {
    ...Object.fromEntries(stacks),
    [`${host}:default-none`]: { 'compose.yaml': composeOf(service('db', 'postgres')) },
    [`${host}:default-user`]: {
      'compose.yaml': composeOf(service('db', 'postgres', { POSTGRES_USER: 'app' })),
    },
    [`${host}:default-both`]: { 'compose.yaml': composeOf(service('db', 'postgres', named)) },
    [`${host}:two`]: { 'compose.yaml': two, 'hooks.sh': tellingHooks },
    [`${host}:one`]: { 'compose.yaml': composeOf(service('db', 'postgres', named), web) },
    [`${host}:plain`]: { 'compose.yaml': idleService, 'hooks.sh': 'echo sourced >told\n' + tellingHooks },
  };
  await writeStacks(fleet, all);
  // A pattern matches what the controller knows of.
  await untilKnown(fleet, all);
});

describe('Where', { concurrency: 3, timeout: 120_000 }, () => {
  it('a postgres image: the last part of its path contains `postgres`, or is one of three others', async () => {
    const run = await runJson(fleet, ['-n', 'image-*', 'db:export']);
    const dumped = Object.keys(run.ends).filter((target) => run.ends[target]?.state === 'succeeded');
    const skipped = Object.keys(run.ends).filter((target) => run.ends[target]?.state === 'skipped');
    const targets = (names: object): string[] => Object.keys(names).map((name) => `${host}:image-${name}`);
    assert.deepEqual(dumped.toSorted(), targets(postgresImages).toSorted());
    assert.deepEqual(skipped.toSorted(), targets(otherImages).toSorted());
  });

  it('with a service and no `DB_NAME`: `POSTGRES_DB`, `POSTGRES_USER`, else `postgres`', async () => {
    const argv = await planned('default-*');
    assert.match(argv['default-none'] ?? '', inService('db', 'postgres', 'postgres'));
    assert.match(argv['default-user'] ?? '', inService('db', 'app', 'app'));
    assert.match(argv['default-both'] ?? '', inService('db', 'app', 'shop'));
  });

  it('`DB_NAME` and `DB_USER` win over those of the service', async () => {
    const { one = '' } = await planned('one', '-e', 'DB_NAME=mine', '-e', 'DB_USER=me');
    assert.match(one, inService('db', 'me', 'mine'));
  });

  it('`DB_SERVICE` names one of several, whatever its image, also where `DB_HOST` is set', async () => {
    const two = await planned('two', '-e', 'DB_SERVICE=two', '-e', 'DB_HOST=elsewhere');
    assert.match(two['two'] ?? '', inService('two', 'postgres', 'postgres'));
    const { one = '' } = await planned('one', '-e', 'DB_SERVICE=web');
    assert.match(one, inService('web', 'postgres', 'postgres'));
  });

  it('without `DB_SERVICE` two postgres services are a failure that names both, and no hook runs', async () => {
    const run = await runJson(fleet, ['two', 'db:export']);
    assert.deepEqual([run.exitCode, run.steps], [1, []]);
    assert.match(reasonOf(run, 'two'), /one and two.*DB_SERVICE/);
    const unknown = await runJson(fleet, ['-e', 'DB_SERVICE=pg', 'two', 'db:export']);
    assert.match(reasonOf(unknown, 'two'), /no service pg \(it has: one, two/);
  });

  it('`DB_HOST` means host tools over TCP, to `DB_PORT` (5432)', async () => {
    const tcp = ['-e', 'DB_HOST=db.example', '-e', 'DB_NAME=x'];
    const { one = '' } = await planned('one', ...tcp);
    assert.match(one, /^pg_dump --host=db.example --port=5432 --username=postgres .*--dbname=dbname=x /);
    const other = await planned('one', ...tcp, '-e', 'DB_PORT=6432', '-e', 'DB_USER=me');
    assert.match(other['one'] ?? '', /^pg_dump --host=db.example --port=6432 --username=me /);
  });

  it('a stack with no `DB_NAME` and no postgres service is `skipped`: no hook runs, not a failure', async () => {
    for (const command of ['db:export', 'db:import', 'db:cleanup']) {
      const run = await runJson(fleet, ['plain', command]);
      assert.deepEqual([run.exitCode, stateOf(run, 'plain'), run.steps], [0, 'skipped', []]);
      assert.match(reasonOf(run, 'plain'), /no database/);
    }
    assert.deepEqual(await new Place(server, 'plain', '').told(), []);
  });

  for (const way of ['in the container', 'over TCP'] as const) {
    it(`the password travels as PGPASSWORD in the environment, never in argv, ${way}`, async () => {
      const place = await server.place(way);
      const run = await (async () => {
        await using _ = await server.holdSession(place.database, 'LOCK TABLE wares');
        const running = place.run([], 'db:export');
        await place.untilWorking(waitsForLock);
        const commands = await processesWith(`PGPASSWORD=${password}`);
        assert.ok(
          commands.some((command) => command.includes('pg_dump')),
          commands.join('\n'),
        );
        assert.doesNotMatch(commands.join('\n'), /s3cret/);
        return running;
      })();
      assert.doesNotMatch(JSON.stringify(run.events), /s3cret/);
    });
  }

  it('a password that the pre hook exports reaches the tool', async () => {
    const place = await server.place('over TCP', {
      'hooks.sh': `hook_pre_db_export() { export DB_PASSWORD='${password}'; }`,
    });
    const variables = server.tcpVariables(place.database).replace(/^DB_PASSWORD.*$/m, '');
    await fleet.writeStack(host, place.stack, { '.env': variables });
    await place.does('db:export');
  });
});
