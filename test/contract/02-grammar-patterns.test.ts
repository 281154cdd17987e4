import assert from 'node:assert/strict';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  containers,
  dockerLines,
  endFleet,
  hostDoctor,
  idleService,
  jsonLines,
  knownTargets,
  runJson,
  startFleet,
  until,
  untilKnown,
  writeStacks,
} from '../e2e/support.ts';

const hosts = ['prod-1', 'prod-2', 'staging-1'];
const fleet = await startFleet(hosts, {
  labels: {
    'prod-1': { env: 'prod', disk: 'ssd' },
    'prod-2': { env: 'prod' },
    'staging-1': { env: 'staging' },
  },
});
after(() => endFleet(fleet));
const stacks = {
  'prod-1:sexy': {},
  'prod-1:news': {},
  'prod-1:hosts': {},
  'prod-2:sexy': {},
  'prod-2:blog': {},
  'staging-1:sexy': {},
  'staging-1:news': {},
};
await writeStacks(fleet, stacks);
await untilKnown(fleet, stacks);

/** The targets of a run, in its order; none when nothing matches. */
async function targetsOf(...words: readonly string[]): Promise<string[]> {
  const { exitCode, events, stderr } = await runJson(fleet, ['--dry-run', ...words, 'ps']);
  if (exitCode === 3) return [];
  assert.equal(exitCode, 0, stderr);
  return events[0]?.targets?.map(({ host, stack }) => `${host}:${stack}`) ?? [];
}

describe('a pattern, and -H, --host PATTERN and -L, --label K=V', { concurrency: 4, timeout: 60_000 }, () => {
  const all = 'prod-1:hosts prod-1:news prod-1:sexy prod-2:blog prod-2:sexy staging-1:news staging-1:sexy';
  const rows: readonly (readonly [words: string, targets: string])[] = [
    ['*', all],
    ['sexy', 'prod-1:sexy prod-2:sexy staging-1:sexy'],
    ['news,blog', 'prod-1:news prod-2:blog staging-1:news'],
    ['prod-1:*', 'prod-1:hosts prod-1:news prod-1:sexy'],
    ['prod-*:{sexy,blog}', 'prod-1:sexy prod-2:blog prod-2:sexy'],
    ['*,!*:news,!staging-?:*', 'prod-1:hosts prod-1:sexy prod-2:blog prod-2:sexy'],
    ['!sexy', 'prod-1:hosts prod-1:news prod-2:blog staging-1:news'],
    ['{prod-1,staging-?}:{news,blog},blog', 'prod-1:news prod-2:blog staging-1:news'],
    ['prod-1:sexy,!sexy', ''],
    ['[bn]*', 'prod-1:news prod-2:blog staging-1:news'],
    ['[!bn]*', 'prod-1:hosts prod-1:sexy prod-2:sexy staging-1:sexy'],
    ['sexy,sexy,prod-2:sexy', 'prod-1:sexy prod-2:sexy staging-1:sexy'],
    ['sexy,no-such-stack', 'prod-1:sexy prod-2:sexy staging-1:sexy'],
    [':hosts', 'prod-1:hosts'],
    ['--host prod-1 *', 'prod-1:hosts prod-1:news prod-1:sexy'],
    ['-H prod-2,staging-1 sexy', 'prod-2:sexy staging-1:sexy'],
    ['-H prod-2 -H staging-* sexy', 'prod-2:sexy staging-1:sexy'],
    ['-H !prod-1 *', 'prod-2:blog prod-2:sexy staging-1:news staging-1:sexy'],
    ['--label env=prod sexy', 'prod-1:sexy prod-2:sexy'],
    ['-L env=prod -L disk sexy', 'prod-1:sexy'],
    ['-L env!=prod *', 'staging-1:news staging-1:sexy'],
    ['-L env=prod -H *-2 *', 'prod-2:blog prod-2:sexy'],
    ['no-such-stack', ''],
    ['-L env=test *', ''],
  ];
  for (const [words, targets] of rows) {
    it(`${words} means ${targets === all ? 'everything' : targets || 'nothing'}`, async () => {
      assert.equal((await targetsOf(...words.split(' '))).join(' '), targets);
    });
  }
});

describe('-l, --list', { concurrency: 4, timeout: 60_000 }, () => {
  for (const [words, targets] of [
    [['-l'], 7],
    [['--list', 'prod-1:*'], 3],
    [['-l', '-L', 'env=prod', 'sexy'], 2],
    [['-l', '-H', '!prod-1'], 4],
  ] as const) {
    it(`${words.join(' ')} shows ${targets} targets with all that is known of them`, async () => {
      const { stdout, exitCode } = await fleet.kompose(['-o', 'json', ...words]);
      assert.equal(exitCode, 0);
      const rows = jsonLines(stdout);
      assert.equal(rows.length, targets);
      for (const row of rows) {
        for (const field of ['host', 'stack', 'composeFile', 'hooks', 'env', 'dumps', 'services']) {
          assert.ok(field in row, field);
        }
      }
    });
  }
});

describe('a stack', { timeout: 60_000 }, () => {
  const folder = (host: string, stack: string): string => join(fleet.stacks(host), stack);

  it('is known within a second or two when its folder appears, and no more when it goes', async () => {
    await fleet.writeStack('prod-2', 'comer', { 'compose.yaml': idleService });
    await until(
      'the new stack is known',
      async () => (await knownTargets(fleet)).includes('prod-2:comer'),
      2500,
    );
    await rm(folder('prod-2', 'comer'), { recursive: true });
    await until(
      'the removed one is not',
      async () => !(await knownTargets(fleet)).includes('prod-2:comer'),
      2500,
    );
    assert.equal((await fleet.kompose(['comer', 'ps'])).exitCode, 3);
  });

  it('is found at once when it is named', async () => {
    await fleet.writeStack('staging-1', 'brand-new', { 'compose.yaml': idleService });
    assert.deepEqual(await targetsOf('brand-new'), ['staging-1:brand-new']);
    await rename(folder('staging-1', 'brand-new'), folder('staging-1', 'renamed'));
    assert.deepEqual(await targetsOf('renamed'), ['staging-1:renamed']);
    await rm(folder('staging-1', 'renamed'), { recursive: true });
  });

  it('is a real, visible folder with a compose file', async () => {
    await mkdir(folder('prod-1', 'no-compose-file'));
    await symlink(folder('prod-1', 'sexy'), folder('prod-1', 'linked'));
    await fleet.writeStack('prod-1', '.hidden', { 'compose.yaml': idleService });
    await writeFile(folder('prod-1', 'a-file'), '');
    for (const name of ['no-compose-file', 'linked', '.hidden', 'a-file']) {
      assert.deepEqual(await targetsOf(name), [], name);
    }
    for (const file of ['docker-compose.yml', 'docker-compose.yaml', 'compose.yml']) {
      await fleet.writeStack('prod-1', 'old-names', { [file]: idleService });
    }
    assert.deepEqual(await targetsOf('old-names'), ['prod-1:old-names']);
    const { stdout } = await fleet.kompose(['stacks', 'old-names', '-o', 'json']);
    assert.equal((JSON.parse(stdout) as { composeFile: string }).composeFile, 'compose.yml');
    await rm(folder('prod-1', 'old-names'), { recursive: true });
  });
});

describe('a run', { timeout: 60_000 }, () => {
  it('of one host leaves containers on the engine of that host only', async () => {
    const { exitCode } = await fleet.kompose(['--host', 'prod-1', 'sexy', 'up', '-d']);
    assert.equal(exitCode, 0);
    assert.deepEqual(await containers(fleet, 'prod-1'), ['sexy-api-1']);
    assert.deepEqual(await containers(fleet, 'prod-2'), []);
    assert.deepEqual(await containers(fleet, 'staging-1'), []);
  });

  it('of everything reaches every stack on every engine', async () => {
    const { exitCode, stderr } = await fleet.kompose(['*', 'up', '-d']);
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual(await containers(fleet, 'prod-1'), ['hosts-api-1', 'news-api-1', 'sexy-api-1']);
    assert.deepEqual(await containers(fleet, 'prod-2'), ['blog-api-1', 'sexy-api-1']);
    assert.deepEqual(await containers(fleet, 'staging-1'), ['news-api-1', 'sexy-api-1']);
    const { stdout } = await fleet.kompose(['--list', '-o', 'json']);
    assert.equal(stdout.split('\n').filter((line) => line.includes('"services":["api"]')).length, 7);
    assert.match(stderr, /^7 targets: 7 succeeded in /m);
  });

  it('restarts all containers of all three engines, and the audit names each of the hooks', async () => {
    await writeStacks(fleet, {
      'prod-1:sexy': { 'hooks.sh': 'hook_pre_restart() { :; }\n' },
      'prod-2:blog': { 'hooks.sh': 'hook_post_restart() { :; }\n' },
    });
    const startTimes = async (): Promise<string[]> => {
      const perHost = hosts.map(async (host) => {
        const ids = await dockerLines(fleet, host, 'ps', '--quiet');
        return dockerLines(fleet, host, 'inspect', '--format', '{{.State.StartedAt}}', ...ids);
      });
      return (await Promise.all(perHost)).flat();
    };
    const earlier = await startTimes();
    const { exitCode, events } = await runJson(fleet, ['*', 'restart']);
    assert.equal(exitCode, 0);
    const later = await startTimes();
    assert.equal(later.length, 7);
    assert.deepEqual(
      later.filter((time) => earlier.includes(time)),
      [],
    );

    const { stdout } = await fleet.kompose(['audit', 'ls', '-o', 'json']);
    const records = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as AuditRecord);
    const hooks = records.filter(({ type, run }) => type === 'hook.finished' && run === events[0]?.run);
    const ran = hooks.map(({ host, stack, hook }) => `${host}:${stack} ${hook?.name} ${hook?.exitCode}`);
    assert.deepEqual(ran.toSorted(), ['prod-1:sexy hook_pre_restart 0', 'prod-2:blog hook_post_restart 0']);
  });

  it('in a fleet with one stopped engine fails there alone, with the message of docker', async () => {
    await fleet.rig.stopEngine('prod-2');
    const { exitCode, stderr } = await fleet.kompose(['*', 'restart']);
    const found = await hostDoctor(fleet, 'prod-2');
    await fleet.rig.startEngine('prod-2');
    assert.equal(exitCode, 1);
    const others = ['compose', 'stacks root', 'hooks', 'controller', 'link', 'clock', 'certificate'];
    const statuses = ['engine', ...others].map((check) => found[check]?.status);
    assert.deepEqual(statuses, ['fail', ...others.map(() => 'ok')]);
    assert.match(found['engine']?.text ?? '', /does not answer \(Cannot connect to the Docker daemon/);
    assert.match(found['engine']?.remedy ?? '', /start docker, or set DOCKER_HOST/);
    assert.match(stderr, /^prod-2:sexy +\| .*Cannot connect to the Docker daemon/m);
    assert.match(
      stderr,
      /^failed +prod-2:blog +\S+ +docker compose restart ended with exit code 1: .*Cannot connect/m,
    );
    const { failed, succeeded } = summary(stderr);
    assert.deepEqual(failed, ['prod-2:blog', 'prod-2:sexy']);
    assert.deepEqual(succeeded, [
      'prod-1:hosts',
      'prod-1:news',
      'prod-1:sexy',
      'staging-1:news',
      'staging-1:sexy',
    ]);
    assert.match(stderr, /^7 targets: 2 failed, 5 succeeded in .*; exit code 1$/m);
  });
});

describe('a host whose agent is gone', { timeout: 60_000 }, () => {
  before(async () => {
    await fleet.kill('prod-2');
    await until('prod-2 is offline', async () => {
      const { stdout } = await fleet.kompose(['hosts', '-o', 'json']);
      return jsonLines(stdout).some(({ name, online }) => name === 'prod-2' && online === false);
    });
  });

  it('ends its targets unreachable while the others succeed', async () => {
    const { exitCode, stderr } = await fleet.kompose(['*', 'restart']);
    assert.equal(exitCode, 4);
    const { unreachable, succeeded } = summary(stderr);
    assert.deepEqual(unreachable, ['prod-2:blog', 'prod-2:sexy']);
    assert.deepEqual(succeeded, [
      'prod-1:hosts',
      'prod-1:news',
      'prod-1:sexy',
      'staging-1:news',
      'staging-1:sexy',
    ]);
    assert.match(
      stderr,
      /^unreachable +prod-2:blog .*prod-2 is offline \(last seen .*\); its task was not started$/m,
    );
  });

  it('is unreachable and not unknown when a stack on it is named', async () => {
    assert.equal((await fleet.kompose(['blog', 'ps'])).exitCode, 4);
    assert.equal((await fleet.kompose(['prod-2:never-seen', 'ps'])).exitCode, 4);
    assert.equal((await fleet.kompose(['-H', 'prod-2', 'never-seen', 'ps'])).exitCode, 4);
    assert.equal((await fleet.kompose(['prod-2:no-*', 'ps'])).exitCode, 3);
  });

  it('is reached again when its agent is back', async () => {
    await fleet.startAgent('prod-2');
    assert.equal((await fleet.kompose(['blog', 'restart'])).exitCode, 0);
  });
});

interface AuditRecord {
  readonly type: string;
  readonly run?: string;
  readonly host?: string;
  readonly stack?: string;
  readonly hook?: { readonly name: string; readonly exitCode: number };
}

/** The targets of the report at the end of a run, by their state. */
function summary(stderr: string): Record<string, string[]> {
  const lines = stderr.matchAll(
    /^(succeeded|failed|unreachable|lost|denied|cancelled|skipped|timed-out) +(\S+:\S+) /gm,
  );
  const byState: Record<string, string[]> = {};
  for (const [, state = '', target = ''] of lines) (byState[state] ??= []).push(target);
  return byState;
}
