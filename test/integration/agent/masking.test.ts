import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import { Bench, type RecordedTask, type StackFiles } from './bench.ts';

const secret = 'hunter2-swordfish';

async function run(t: TestContext, files: StackFiles, spec: Partial<TaskSpec> = {}): Promise<RecordedTask> {
  const bench = await Bench.create(t);
  await bench.stack('sexy', files);
  return bench.run(spec);
}

/** Everything that the task told, as text. */
function told(task: RecordedTask): string {
  return JSON.stringify(task.events) + task.output();
}

test('a secret is masked in output, whichever layer it comes from', async (t) => {
  const bench = await Bench.create(t);
  await bench.stack('sexy', {
    env: 'DB_PASSWORD=of-the-stack\n',
    action: 'echo "$ROOT_TOKEN $DB_PASSWORD $API_KEY"; env >&2',
  });
  await writeFile(join(bench.root, '.env'), 'ROOT_TOKEN=of-the-root\n');
  const task = await bench.run({ env: { API_KEY: 'of-the-user' } });
  assert.equal(task.output('action', 'stdout'), '[redacted] [redacted] [redacted]\n');
  assert.doesNotMatch(told(task), /of-the-(?:stack|root|user)/);
});

test('a secret is masked where it arrives in two pieces', async (t) => {
  const half = Math.floor(secret.length / 2);
  const action = `printf '<%s' "\${DB_PASSWORD:0:${half}}"; sleep 0.05; printf '%s>' "\${DB_PASSWORD:${half}}"`;
  const task = await run(t, { env: `DB_PASSWORD=${secret}\n`, action });
  assert.equal(task.output('action', 'stdout'), '<[redacted]>');
});

test('a secret is masked in base64 and percent-encoding', async (t) => {
  const action = `printf %s "$DB_PASSWORD" | base64; echo 'postgres://u:a%2Fb%20c%3Fd@h'`;
  const task = await run(t, { env: "DB_PASSWORD='a/b c?d'\n", action });
  assert.equal(task.output('action', 'stdout'), '[redacted]\npostgres://u:[redacted]@h\n');
});

test('a secret that a hook exports is masked in the steps after it', async (t) => {
  const hooks = `hook_pre_up() { export APP_SECRET=$(cat made); }\nhook_post_up() { echo "post $APP_SECRET"; }`;
  const task = await run(t, { hooks, action: 'echo "action $APP_SECRET"', files: { made: secret } });
  assert.equal(task.output('action'), 'action [redacted]\n');
  assert.equal(task.output('post'), 'post [redacted]\n');
  assert.doesNotMatch(told(task), new RegExp(secret));
});

test('what only begins like a secret is shown whole', async (t) => {
  const task = await run(t, {
    env: `DB_PASSWORD=${secret}\n`,
    action: `printf '%s' '${secret.slice(0, -1)}'`,
  });
  assert.equal(task.output('action'), secret.slice(0, -1));
});

test('a secret is masked in the argv of steps and of plans', async (t) => {
  const files = { env: `DB_PASSWORD=${secret}\n`, hooks: 'hook_pre_up() { :; }' };
  for (const dryRun of [false, true]) {
    const task = await run(t, files, { args: ['-e', `X=${secret}`], dryRun });
    assert.doesNotMatch(told(task), new RegExp(secret));
    const argvs = task.events.flatMap((event) =>
      event.type === 'step.started' || event.type === 'plan.step' ? [event.argv.join(' ')] : [],
    );
    assert.equal(argvs[0], 'hook_pre_up up -e X=[redacted]');
    assert.equal(argvs[1], 'docker compose up -e X=[redacted]');
  }
});

test('a secret that an argument sets is masked like one of -e', async (t) => {
  const task = await run(t, {}, { args: ['-e', `PGPASSWORD=${secret}`] });
  assert.doesNotMatch(told(task), new RegExp(secret));
});

test('names of variables are told in a plan, values never', async (t) => {
  const task = await run(
    t,
    { env: 'PLAIN=value-of-plain\n' },
    { dryRun: true, env: { GIVEN: 'value-given' } },
  );
  const step = task.events.find((event) => event.type === 'plan.step');
  assert.ok(step?.envNames.includes('PLAIN'));
  assert.ok(step?.envNames.includes('GIVEN'));
  assert.doesNotMatch(told(task), /value-/);
});

const broken: readonly [title: string, files: StackFiles][] = [
  ['an expression of .env', { env: `DB_PASSWORD=${secret}\nX=\${MISSING:?no $DB_PASSWORD}\n` }],
  [
    'an expression of the compose file’s name',
    {
      env: `DB_PASSWORD=${secret}\n`,
      files: { 'compose.yaml': 'name: ${MISSING:?no $DB_PASSWORD}\nservices: {}\n' },
    },
  ],
  ['a line of .env that cannot be read', { env: `A=1\nDB_PASSWORD="${secret}\n` }],
  ['a name that cannot be one', { env: `DB PASSWORD=${secret}\n` }],
];
for (const [title, files] of broken) {
  test(`a secret is not in the reason why a task failed: ${title}`, async (t) => {
    const task = await run(t, files);
    assert.equal(task.end.state, 'failed');
    assert.notEqual(task.end.reason, '');
    assert.doesNotMatch(told(task), new RegExp(secret));
  });
}

test('a secret is not in the reason why a program could not be started', async (t) => {
  const bench = await Bench.create(t);
  await bench.stack('sexy', { env: `DB_PASSWORD=${secret}\n` });
  await bench.run();
  await chmod(join(bench.folder, 'bin/docker'), 0o644);
  const task = await bench.run({ args: [secret] });
  assert.equal(task.end.state, 'failed');
  assert.doesNotMatch(told(task), new RegExp(secret));
});
