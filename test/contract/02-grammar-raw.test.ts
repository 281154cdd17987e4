import assert from 'node:assert/strict';
import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Screen } from '../e2e/screen.ts';
import { endFleet, idleService, jsonLines, startFleet, writeStacks } from '../e2e/support.ts';
import { kompose as program } from '../fleet/release.ts';

const fleet = await startFleet(['prod-1']);
after(() => endFleet(fleet));

const secret = 'swordfish-4711';
const files = {
  'compose.yaml': idleService,
  '.env': `API_PASSWORD=${secret}\n`,
  'hooks.sh': 'hook_pre_exec() { echo "hook $API_PASSWORD"; }\n',
};
const show = ['exec', '-T', 'api', 'printf', secret];

before(async () => {
  await writeStacks(fleet, { 'prod-1:app': files, 'prod-1:other': files });
  assert.equal((await fleet.kompose(['*', 'up', '-d'])).exitCode, 0);
});

async function lastRun(): Promise<string> {
  const { stdout } = await fleet.kompose(['-o', 'json', 'runs', 'ls', '--limit', '1']);
  return (JSON.parse(stdout) as { run: string }).run;
}

/** Files of the controller and the agent, as far as they hold the secret. */
function holders(): string[] {
  const all = ['controller', 'agent-prod-1'].flatMap((folder) =>
    globSync('**/*', { cwd: join(fleet.folder, folder) }).map((file) => join(fleet.folder, folder, file)),
  );
  return all.filter((file) => statSync(file).isFile() && readFileSync(file).includes(secret));
}

describe('--raw', { timeout: 60_000 }, () => {
  test('turns masking off for the action of exec, and for nothing else', async () => {
    assert.equal((await fleet.kompose(['app', ...show])).stdout, '[redacted]');
    const { stdout, stderr, exitCode } = await fleet.kompose(['--raw', 'app', ...show]);
    assert.equal(exitCode, 0, stderr);
    assert.equal(stdout, secret);
    assert.match(stderr, /^hook \[redacted\]$/m);
    assert.doesNotMatch(stderr, new RegExp(secret));
  });

  test('turns it off for run', async () => {
    const words = ['--raw', 'app', 'run', '--rm', '-T', 'api', 'printf', secret];
    assert.equal((await fleet.kompose(words)).stdout, secret);
  });

  test('keeps nothing of the output: attach says so, and no file holds it', async () => {
    await fleet.kompose(['--raw', 'app', ...show]);
    const attached = await fleet.kompose(['runs', 'attach', await lastRun()]);
    assert.equal(attached.stdout, '');
    assert.match(
      attached.stderr,
      /^prod-1:app  \d+ bytes of stdout are missing here: output with --raw is not kept$/m,
    );
    assert.deepEqual(holders(), []);
  });

  test('is in the audit', async () => {
    await fleet.kompose(['--raw', 'app', ...show]);
    const run = await lastRun();
    const { stdout } = await fleet.kompose(['-o', 'json', 'audit', 'ls']);
    const started = jsonLines(stdout).filter((line) => line.type === 'run.started' && line.run === run);
    assert.deepEqual(
      started.map((line) => ({ ...line })['raw' as 'text']),
      [true],
    );
  });

  test('needs the right to run the command', async () => {
    const home = join(fleet.folder, 'operator');
    await fleet.kompose(['login', await fleet.token('--role', 'operator')], { home });
    const { exitCode, stdout } = await fleet.kompose(['--raw', 'app', ...show], { home });
    assert.deepEqual({ exitCode, stdout }, { exitCode: 5, stdout: '' });
  });

  const refused: readonly [words: readonly string[], message: RegExp][] = [
    [['--raw', 'app', 'ps'], /^kompose: --raw is for exec and run, not for ps$/m],
    [['--raw', '*', ...show], /^kompose: --raw takes one target, not 2$/m],
    [
      ['--raw', '--detach', 'app', ...show],
      /^kompose: --raw keeps no output, so it cannot stand with --detach$/m,
    ],
  ];
  for (const [words, message] of refused) {
    test(`is refused by name: ${words.slice(0, 4).join(' ')}`, async () => {
      const { exitCode, stderr } = await fleet.kompose(words);
      assert.equal(exitCode, 2);
      assert.match(stderr, message);
    });
  }

  test('is refused by name when stdout is a terminal', async () => {
    const { PATH = '' } = process.env;
    const env = { PATH, KOMPOSE_HOME: fleet.home };
    using screen = new Screen([process.execPath, program, '--raw', 'app', ...show], { env });
    await screen.shows(/--raw is for a pipe or a file: stdout is a terminal/);
  });

  test('works in local mode', async () => {
    const env = { ...fleet.rig.host('prod-1').env, KOMPOSE_STACKS: fleet.stacks('prod-1') };
    assert.equal((await fleet.kompose(['--local', 'app', ...show], { env })).stdout, '[redacted]');
    assert.equal((await fleet.kompose(['--local', '--raw', 'app', ...show], { env })).stdout, secret);
    assert.equal((await fleet.kompose(['--local', '--raw', '*', ...show], { env })).exitCode, 2);
  });
});
