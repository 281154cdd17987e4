import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import {
  containers,
  endFleet,
  jsonLines,
  outputOf,
  shows,
  startFleet,
  until,
  writeStacks,
  type JsonLine,
} from '../e2e/support.ts';
import { postgresImage } from '../fleet/postgres-image.ts';

/* Section 10 of the command contract: what `-o json` prints of real runs, against the schema that is published. */

const schema = new URL('../../docs/events.schema.json', import.meta.url);
const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(schema, 'utf8')) as object,
);
const database = `
services:
  db:
    image: postgres:15
    environment: { POSTGRES_USER: app, POSTGRES_PASSWORD: 's3cret pass', POSTGRES_DB: shop }
`;
const hooks = `
hook_pre_exec() { echo from a hook; }
hook_pre_pull() { echo begun; sleep 1000; }
hook_fail_pull() { echo sorry >&2; return 4; }
hook_pre_push() { echo careless >&2; return 3; }
hook_fail_push() { echo "$KOMPOSE_FAILED_STEP $KOMPOSE_EXIT_CODE"; }
hook_post_ps() { return 5; }
hook_pre_stop() { echo begun; until [ -e released ]; do sleep 0.02; done; }
`;

const fleet = await startFleet(['prod-1'], { images: [await postgresImage()] });
after(() => endFleet(fleet));
await writeStacks(fleet, {
  'prod-1:app': { 'hooks.sh': hooks, '.env': 'COLOUR=blue\nAPI_TOKEN=swordfish\n' },
  'prod-1:shop': { 'compose.yaml': database },
});
for (const stack of ['app', 'shop']) assert.equal((await fleet.kompose([stack, 'up', '-d'])).exitCode, 0);

interface Shown {
  readonly exitCode: number | undefined;
  readonly events: readonly JsonLine[];
  /** `step.started pre` and so on, without output. */
  readonly kinds: readonly string[];
  readonly end: JsonLine;
}

/** Every line fits the schema, names its run and its target, in this order, and stands between the run's two ends. */
function checked(stdout: string, exitCode: number | undefined): Shown {
  const events = jsonLines(stdout);
  const [started] = events;
  const last = events.at(-1);
  assert.deepEqual([started?.type, last?.type], ['run.started', 'run.finished']);
  for (const event of events) {
    assert.ok(validate(event), `${JSON.stringify(event)}: ${JSON.stringify(validate.errors)}`);
    const isOfTask = !event.type.startsWith('run.');
    const first = ['type', 'time', 'run', ...(isOfTask ? ['task', 'host', 'stack'] : [])];
    assert.deepEqual(Object.keys(event).slice(0, first.length), first);
    assert.equal(event.run, started?.run);
    const { task = '', host = '', stack = '' } = event;
    if (isOfTask)
      assert.ok(
        started?.targets?.some((each) => each.task === task && each.host === host && each.stack === stack),
      );
  }
  assert.equal(last?.exitCode, exitCode);
  const end = events.find(({ type }) => type === 'task.finished');
  assert.ok(end !== undefined);
  const told = events.filter(({ type }) => type !== 'output');
  const kinds = told.map(({ type, step }) => (step === undefined ? type : `${type} ${step}`));
  return { exitCode, events, kinds, end };
}

async function shown(...args: readonly string[]): Promise<Shown> {
  const { stdout, stderr, exitCode } = await fleet.kompose(['-o', 'json', ...args]);
  assert.equal(stderr, '');
  return checked(stdout, exitCode);
}

const of = ({ events }: Shown, type: string, step: string): JsonLine | undefined =>
  events.find((event) => event.type === type && event.step === step);

describe('a run of one target', { timeout: 60_000 }, () => {
  it('run.started, task.*, step.*, output {data, encoding}, task.finished, run.finished', async () => {
    const script = 'printf "\\377\\376"; echo err >&2; exit 3';
    const run = await shown('app', 'exec', '-T', 'api', 'sh', '-c', script);
    assert.deepEqual(
      run.kinds.filter((kind) => kind !== 'task.queued'),
      [
        'run.started',
        'task.started',
        'step.started pre',
        'step.finished pre',
        'step.started action',
        'step.finished action',
        'task.finished',
        'run.finished',
      ],
    );
    const [started] = run.events;
    assert.deepEqual(started?.targets, [{ task: run.end.task, host: 'prod-1', stack: 'app' }]);
    const binary = run.events.find(({ encoding }) => encoding === 'base64');
    assert.deepEqual([binary?.step, binary?.stream, binary?.data], ['action', 'stdout', '//4=']);
    assert.equal(outputOf(run.events, 'action', 'stderr').split('\n')[0], 'err');
    assert.equal(outputOf(run.events, 'pre', 'stdout'), 'from a hook\n');
    const argv = ['exec', '-T', 'api', 'sh', '-c', script];
    const pre = of(run, 'step.started', 'pre');
    assert.deepEqual([pre?.name, pre?.argv], ['hook_pre_exec', ['hook_pre_exec', ...argv]]);
    const began = of(run, 'step.started', 'action');
    assert.deepEqual([began?.name, began?.argv?.slice(-argv.length)], ['docker compose exec', argv]);
    const action = of(run, 'step.finished', 'action');
    assert.deepEqual([action?.name, action?.outcome, action?.exitCode], ['docker compose exec', 'failed', 3]);
    assert.ok(Number(action?.durationMs) <= Number(run.end.durationMs));
    assert.deepEqual([run.end.state, run.end.exitCode], ['failed', 3]);
    const { time: _, ...last } = run.events.at(-1) ?? {};
    const sums = { succeeded: 0, skipped: 0, cancelled: 0, timedOut: 0, unreachable: 0, lost: 0, denied: 0 };
    assert.deepEqual(last, {
      type: 'run.finished',
      run: started?.run,
      state: 'failed',
      ...sums,
      failed: 1,
      exitCode: 3,
    });
  });

  it('success: no reason, exit code 0', async () => {
    const { exitCode, end } = await shown('app', 'exec', '-T', 'api', 'true');
    assert.equal(exitCode, 0);
    assert.deepEqual([end.state, end.exitCode, end.reason], ['succeeded', 0, '']);
  });

  it('text is never cut within a character', async () => {
    const { events } = await shown('app', 'exec', '-T', 'api', 'sh', '-c', 'yes 日本語 | head -n 30000');
    assert.ok(events.filter(({ type }) => type === 'output').length > 2);
    assert.ok(events.every(({ encoding }) => encoding === undefined));
    assert.equal(outputOf(events, 'action'), '日本語\n'.repeat(30_000));
  });

  it('a failing hook: step.finished failed, then the fail hook, whose result changes nothing', async () => {
    const run = await shown('app', 'push');
    assert.deepEqual(
      run.kinds.filter((kind) => kind.startsWith('step.')),
      ['step.started pre', 'step.finished pre', 'step.started fail', 'step.finished fail'],
    );
    assert.equal(of(run, 'step.finished', 'fail')?.name, 'hook_fail_push');
    assert.equal(outputOf(run.events, 'fail'), 'pre 3\n');
    assert.deepEqual([run.exitCode, run.end.state, run.end.exitCode], [1, 'failed', 3]);
    assert.match(run.end.reason ?? '', /hook_pre_push/);
  });

  it('a failing post hook: the action stands', async () => {
    const run = await shown('app', 'ps', '-q');
    assert.equal(of(run, 'step.finished', 'action')?.outcome, 'succeeded');
    assert.equal(of(run, 'step.finished', 'post')?.outcome, 'failed');
    assert.deepEqual([run.exitCode, run.end.state, run.end.exitCode], [1, 'failed', 5]);
  });

  it('a timeout: timed-out, of the step, too; a fail hook that fails is recorded', async () => {
    const run = await shown('--timeout', '700ms', 'app', 'pull');
    assert.equal(of(run, 'step.finished', 'pre')?.outcome, 'timed-out');
    const failed = of(run, 'step.finished', 'fail');
    assert.deepEqual([failed?.outcome, failed?.exitCode], ['failed', 4]);
    assert.deepEqual([run.exitCode, run.end.state], [1, 'timed-out']);
    assert.ok(Number(of(run, 'step.finished', 'pre')?.durationMs) >= 500);
  });

  it('a cancel: cancelled, 130', async () => {
    const client = fleet.spawnKompose(['-o', 'json', 'app', 'pull']);
    await shows(client, 'stdout', 'begun');
    client.kill('SIGINT');
    const { stdout, exitCode } = await client;
    const run = checked(stdout, exitCode);
    assert.equal(of(run, 'step.finished', 'pre')?.outcome, 'cancelled');
    assert.deepEqual(
      [run.exitCode, run.end.state, run.events.at(-1)?.state],
      [130, 'cancelled', 'cancelled'],
    );
  });

  it('task.queued {waitingFor}: says for whom it waits', async () => {
    const holder = fleet.spawnKompose(['-o', 'json', 'app', 'stop']);
    const [first = ''] = (await shows(holder, 'stdout', 'begun')).split('\n', 1);
    const waiting = fleet.spawnKompose(['-o', 'json', 'app', 'create']);
    const text = await shows(waiting, 'stdout', '"waitingFor":"run ');
    const { run = 'no run' } = jsonLines(first)[0] ?? {};
    assert.match(text, new RegExp(`"waitingFor":"run ${run} \\(stop by `));
    await writeStacks(fleet, { 'prod-1:app': { released: '' } });
    const ends = await Promise.all([holder, waiting]);
    for (const { stdout, exitCode } of ends) assert.equal(checked(stdout, exitCode).end.state, 'succeeded');
    await rm(join(fleet.stacks('prod-1'), 'app', 'released'));
    assert.equal((await fleet.kompose(['app', 'up', '-d'])).exitCode, 0);
  });

  it('a database command: the dump that it wrote', async () => {
    await until('the server answers', async () => {
      const { exitCode } = await fleet.kompose([
        'shop',
        'exec',
        '-T',
        'db',
        'pg_isready',
        '-U',
        'app',
        '-d',
        'shop',
      ]);
      return exitCode === 0;
    });
    const run = await shown('shop', 'db:export');
    assert.equal(of(run, 'step.started', 'action')?.name, 'pg_dump');
    const { path = '', sizeBytes, sha256 } = run.end.dump ?? {};
    assert.equal(run.end.state, 'succeeded', run.end.reason);
    const dump = await readFile(path);
    assert.deepEqual([sizeBytes, sha256], [dump.length, createHash('sha256').update(dump).digest('hex')]);
  });
});

describe('a run of several targets', { timeout: 60_000 }, () => {
  it('has each target’s events with its own task, and the sums', async () => {
    const run = await shown('{app,shop}', 'ps', '-q');
    const [started] = run.events;
    assert.deepEqual(
      started?.targets?.map(({ stack }) => stack),
      ['app', 'shop'],
    );
    assert.notEqual(started?.targets?.[0]?.task, started?.targets?.[1]?.task);
    const last = run.events.at(-1) ?? {};
    assert.partialDeepStrictEqual(last, { succeeded: 1, failed: 1, exitCode: 1 });
  });

  it('has one task.finished each, skipped ones too', async () => {
    const { events } = await shown('{app,shop}', 'db:cleanup');
    const ends = events.filter(({ type }) => type === 'task.finished');
    assert.deepEqual(ends.map(({ stack, state }) => `${stack} ${state}`).toSorted(), [
      'app skipped',
      'shop succeeded',
    ]);
  });
});

describe('a dry run', { timeout: 60_000 }, () => {
  it('plan.step {host, stack, step, name, argv, cwd, env names} in place of the step events', async () => {
    const planned = { 'hooks.sh': 'touch sourced\nhook_pre_up() { touch ran; }\n', '.env': 'COLOUR=blue\n' };
    await writeStacks(fleet, { 'prod-1:planned': planned });
    const run = await shown('-e', 'SIZE=2', 'planned', 'up', '-d', '--dry-run');
    assert.equal(run.exitCode, 0);
    assert.deepEqual(
      run.kinds.filter((kind) => kind.includes('step')),
      ['plan.step pre', 'plan.step action'],
    );
    const steps = run.events.filter(({ type }) => type === 'plan.step');
    assert.deepEqual(
      steps.map(({ step, name, argv }) => [step, name, argv?.slice(-2)]),
      [
        ['pre', 'hook_pre_up', ['up', '-d']],
        ['action', 'docker compose up', ['up', '-d']],
      ],
    );
    const folder = join(fleet.stacks('prod-1'), 'planned');
    for (const { cwd, envNames } of steps) {
      assert.equal(cwd, folder);
      for (const name of ['COLOUR', 'SIZE', 'COMPOSE_PROJECT_NAME'])
        assert.ok(envNames?.includes(name), name);
    }
    for (const file of ['ran', 'sourced']) assert.equal(existsSync(join(folder, file)), false);
    assert.equal((await containers(fleet, 'prod-1')).includes('planned-api-1'), false);
  });

  it('says of a hook that may be defined elsewhere that it is uncertain', async () => {
    await writeStacks(fleet, { 'prod-1:sourcing': { 'hooks.sh': '. ./more.sh\n' } });
    const { events } = await shown('-n', 'sourcing', 'up', '-d');
    assert.ok(events.some((event) => event.type === 'plan.step' && 'uncertain' in event));
  });
});
