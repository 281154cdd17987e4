import assert from 'node:assert/strict';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import {
  endFleet,
  idleService,
  jsonLines,
  knownTargets,
  outputOf,
  runJson,
  shows,
  startFleet,
  until,
  untilKnown,
  writeStacks,
} from '../e2e/support.ts';

/** Section 1 of the command contract: what its words mean, each shown on real hosts. */

const program = new URL('../../bin/kompose.ts', import.meta.url).pathname;
const hooks = `hook_pre_create() { echo before; }
hook_post_create() { echo after; }
hook_pre_pull() { return 3; }
hook_fail_pull() { echo "failed: $KOMPOSE_FAILED_STEP"; }
hook_pre_build() { echo begins; sleep 1000; }
`;
let fleet: KomposeFleet;

before(async () => {
  fleet = await startFleet(['prod-1', 'prod-2'], {
    labels: { 'prod-1': { env: 'prod', zone: 'a' } },
    controllerEnv: { KOMPOSE_LOST_AFTER: '1s' },
  });
  const stacks = { 'prod-1:app': { 'hooks.sh': hooks }, 'prod-2:app': { 'hooks.sh': hooks } };
  await writeStacks(fleet, stacks);
  await untilKnown(fleet, stacks);
});

after(() => endFleet(fleet));

/** As the controller knows it. */
async function stacksOf(host: string): Promise<Record<string, unknown>> {
  const { stdout } = await fleet.kompose(['-o', 'json', 'stacks', `${host}:*`]);
  const rows = jsonLines(stdout) as unknown as { stack: string; composeFile: string; hooks: string[] }[];
  return Object.fromEntries(rows.map(({ stack, composeFile }) => [stack, composeFile]));
}

describe('host', { timeout: 60_000 }, () => {
  test('has a unique name and labels', async () => {
    const { stdout } = await fleet.kompose(['-o', 'json', 'hosts']);
    const rows = jsonLines(stdout) as unknown as { name: string; labels: object }[];
    assert.deepEqual(
      rows.map(({ name, labels }) => [name, labels]),
      [
        ['prod-1', { env: 'prod', zone: 'a' }],
        ['prod-2', {}],
      ],
    );
    const token = await fleet.token('--role', 'agent');
    const stacks = fleet.stacks('prod-2');
    const { exitCode, stderr } = await execa(
      process.execPath,
      [program, 'agent', 'join', token, '--name', 'prod-1', '--stacks', stacks],
      { env: { KOMPOSE_HOME: join(fleet.folder, 'another') }, reject: false },
    );
    assert.deepEqual([exitCode, /prod-1/.test(stderr)], [1, true], stderr);
  });
});

describe('stacks root', { timeout: 60_000 }, () => {
  test("holds the stacks and a root .env for all of them; it is a hook's $SCRIPT_DIR", async () => {
    const root = fleet.stacks('prod-1');
    const rooted = {
      'prod-1:rooted': { 'hooks.sh': 'hook_pre_config() { echo "$SCRIPT_DIR $OF_ROOT $PWD"; }\n' },
    };
    await writeStacks(fleet, rooted);
    const told = async (): Promise<string> =>
      outputOf((await runJson(fleet, ['rooted', 'config', '--services'])).events, 'pre');
    assert.equal(await told(), `${root}  ${root}/rooted\n`);
    await writeFile(join(root, '.env'), 'OF_ROOT=shared\n');
    assert.equal(await told(), `${root} shared ${root}/rooted\n`);
    await rm(join(root, '.env'));
    await rm(join(root, 'rooted'), { recursive: true });
    await until('it is gone', async () => !(await knownTargets(fleet)).includes('prod-1:rooted'));
  });
});

describe('stack', { timeout: 60_000 }, () => {
  test("is a direct, non-hidden, real folder with a compose file, by compose's own order", async () => {
    const root = fleet.stacks('prod-2');
    const names = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'];
    for (const [at, name] of names.entries()) {
      await mkdir(join(root, `from-${at}`));
      for (const each of names.slice(at)) await writeFile(join(root, `from-${at}`, each), idleService);
      assert.equal(names[at], name);
    }
    await mkdir(join(root, '.hidden'));
    await writeFile(join(root, '.hidden/compose.yaml'), idleService);
    await mkdir(join(root, 'outer/inner'), { recursive: true });
    await writeFile(join(root, 'outer/inner/compose.yaml'), idleService);
    await mkdir(join(root, 'no-file/compose.yaml'), { recursive: true });
    await symlink(join(root, 'from-0'), join(root, 'linked'));
    const expected = Object.fromEntries(names.map((name, at) => [`from-${at}`, name]));
    await until('they are known', async () => Object.keys(await stacksOf('prod-2')).length > names.length);
    assert.deepEqual(await stacksOf('prod-2'), { app: 'compose.yaml', ...expected });
    for (const name of ['linked', '.hidden', 'outer', 'no-file']) {
      assert.equal((await fleet.kompose([name, 'ps'])).exitCode, 3, name);
    }
    for (const at of names.keys()) await rm(join(root, `from-${at}`), { recursive: true });
  });

  test('is the file that compose itself takes', async () => {
    const other = idleService.replace('api', 'other');
    const files = { 'compose.yaml': idleService, 'docker-compose.yml': other };
    await writeStacks(fleet, { 'prod-1:both': files });
    const { stdout } = await fleet.kompose(['both', 'config', '--services']);
    assert.equal(stdout, 'api\n');
    await rm(join(fleet.stacks('prod-1'), 'both'), { recursive: true });
  });

  test('may have an override beside it, which compose finds', async () => {
    const override = 'services:\n  api:\n    hostname: overridden\n';
    await writeStacks(fleet, { 'prod-1:both': { 'compose.override.yaml': override } });
    const { stdout } = await fleet.kompose(['both', 'config']);
    assert.match(stdout, /hostname: overridden/);
    await rm(join(fleet.stacks('prod-1'), 'both'), { recursive: true });
  });

  test('is known within a second when it appears, changes or goes', async () => {
    const folder = join(fleet.stacks('prod-1'), 'fresh');
    const file = async (): Promise<unknown> => (await stacksOf('prod-1'))['fresh'];
    // A second, and the time of two looks.
    const soon = (what: string, isSo: () => Promise<boolean>): Promise<void> => until(what, isSo, 3_000);
    await fleet.writeStack('prod-1', 'fresh', { 'compose.yml': idleService });
    await soon('it appears', async () => (await file()) === 'compose.yml');
    await rename(join(folder, 'compose.yml'), join(folder, 'compose.yaml'));
    await soon('it changes', async () => (await file()) === 'compose.yaml');
    await rm(folder, { recursive: true });
    await soon('it goes', async () => (await file()) === undefined);
  });

  test('is looked for again before an unknown name is an error', async () => {
    for (const at of [1, 2, 3]) {
      await fleet.writeStack('prod-2', `just-${at}`, { 'compose.yaml': idleService });
      const { exitCode, stderr } = await fleet.kompose([`just-${at}`, 'ps']);
      assert.equal(exitCode, 0, stderr);
    }
    assert.equal((await fleet.kompose(['nowhere', 'ps'])).exitCode, 3);
    for (const at of [1, 2, 3]) await rm(join(fleet.stacks('prod-2'), `just-${at}`), { recursive: true });
    await until('they are gone', async () => (await knownTargets(fleet)).length === 2);
  });
});

describe('target', { timeout: 60_000 }, () => {
  test('is one stack on one host, and is written host:stack', async () => {
    const { events } = await runJson(fleet, ['prod-2:app', 'ps']);
    assert.deepEqual(
      events[0]?.targets?.map(({ host, stack }) => [host, stack]),
      [['prod-2', 'app']],
    );
    const { stderr } = await fleet.kompose(['app', 'ps']);
    for (const target of ['prod-1:app', 'prod-2:app'])
      assert.match(stderr, new RegExp(`^succeeded +${target} `, 'm'));
  });
});

describe('run, task and step', { timeout: 60_000 }, () => {
  test('a run fans out into one task a target, and each has its steps', async () => {
    const { events, ends, exitCode } = await runJson(fleet, ['app', 'create']);
    assert.equal(exitCode, 0);
    assert.deepEqual(Object.keys(ends).toSorted(), ['prod-1:app', 'prod-2:app']);
    assert.equal(new Set(events.map(({ run }) => run)).size, 1);
    const targets = events[0]?.targets ?? [];
    assert.equal(new Set(targets.map(({ task }) => task)).size, 2);
    for (const { task } of targets) {
      const steps = events.filter((event) => event.task === task && event.type === 'step.started');
      assert.deepEqual(
        steps.map(({ step, name }) => [step, name]),
        [
          ['pre', 'hook_pre_create'],
          ['action', 'docker compose create'],
          ['post', 'hook_post_create'],
        ],
      );
    }
    const failed = await runJson(fleet, ['prod-1:app', 'pull']);
    assert.deepEqual(failed.steps, ['pre failed', 'fail succeeded']);
  });

  test('a task ends as succeeded, failed, skipped or timed-out', async () => {
    const stateOf = async (...words: string[]): Promise<string | undefined> =>
      (await runJson(fleet, words)).ends['prod-1:app']?.state;
    assert.equal(await stateOf('prod-1:app', 'ps'), 'succeeded');
    assert.equal(await stateOf('prod-1:app', 'pull'), 'failed');
    assert.equal(await stateOf('prod-1:app', 'db:export'), 'skipped');
    assert.equal(await stateOf('--timeout', '300ms', 'prod-1:app', 'build'), 'timed-out');
  });

  test('a task ends as cancelled', async () => {
    const run = fleet.spawnKompose(['-o', 'json', 'prod-1:app', 'build']);
    await shows(run, 'stdout', 'begins');
    run.kill('SIGINT');
    const { stdout } = await run;
    const ends = jsonLines(stdout).filter(({ type }) => type === 'task.finished');
    assert.deepEqual(
      ends.map(({ state }) => state),
      ['cancelled'],
    );
  });

  test('a task ends as denied', async () => {
    const home = join(fleet.folder, 'viewer');
    await fleet.kompose(['login', await fleet.token('--role', 'viewer', '--name', 'vera')], { home });
    const { ends } = await runJson(fleet, ['app', 'restart'], { home });
    assert.deepEqual(
      Object.values(ends).map(({ state }) => state),
      ['denied', 'denied'],
    );
  });

  test('a task ends as lost when its host goes away, one that never started as unreachable, and none is left out', async () => {
    const run = fleet.spawnKompose(['-o', 'json', 'app', 'build']);
    const begun = (host: string): string =>
      `"host":"${host}","stack":"app","step":"pre","stream":"stdout","data":"begins\\n"`;
    await Promise.all([shows(run, 'stdout', begun('prod-1')), shows(run, 'stdout', begun('prod-2'))]);
    const lost = shows(run, 'stdout', '"state":"lost"', 30_000);
    await fleet.kill('prod-2');
    await until('the host is known to be away', async () => {
      const { stdout } = await fleet.kompose(['-o', 'json', 'hosts', 'show', 'prod-2']);
      return jsonLines(stdout)[0]?.online === false;
    });
    const next = await runJson(fleet, ['*', 'ps']);
    assert.deepEqual(
      Object.entries(next.ends)
        .map(([target, { state }]) => `${target} ${state}`)
        .toSorted(),
      ['prod-1:app succeeded', 'prod-2:app unreachable'],
    );
    assert.equal(next.exitCode, 4);
    await lost;
    run.kill('SIGINT');
    const { stdout } = await run;
    const ends = jsonLines(stdout).filter(({ type }) => type === 'task.finished');
    assert.deepEqual(ends.map(({ host, state }) => `${host} ${state}`).toSorted(), [
      'prod-1 cancelled',
      'prod-2 lost',
    ]);
  });
});
