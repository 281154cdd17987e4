import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { CliProcess } from '../cli/cli-process.ts';
import { exists, until } from '../agent/processes.ts';
import { StubFleet } from './stub-fleet.ts';

/* A hook whose kompose.sh runs a command on another stack while the agent of its host ends. */

const host = 'prod-1';
let fleet: StubFleet;

const action = `
echo x >> starts
echo child begins
until [[ -e go ]]; do sleep 0.05; done
echo child ends; touch ended
exit "$(<go)"
`;

before(async () => {
  fleet = await StubFleet.start(host);
  await fleet.writeStack(host, 'sexy', { 'action.sh': action });
  const hooks = `hook_pre_pull() { "\${SCRIPT_DIR}/kompose.sh" sexy pull; echo "code $?"; }\n`;
  await fleet.writeStack(host, 'front', { 'hooks.sh': hooks });
  await fleet.untilKnown(`${host}:sexy`, `${host}:front`);
});

after(() => fleet.stop());

const child = (file: string): string => join(fleet.stacks(host), 'sexy', file);

afterEach(async () => {
  for (const file of ['starts', 'go', 'ended']) await rm(child(file), { force: true });
});

/** A run whose hook has its child begun. */
async function chained(): Promise<CliProcess> {
  const run = fleet.spawn('admin', ['front', 'pull']);
  await until('the child has begun', () => exists(child('starts')));
  await run.shows('stderr', 'child begins');
  return run;
}

/** What the hook showed of its child, and that this ran once. */
async function shown(run: CliProcess): Promise<string[]> {
  assert.equal(await run.ended, 0, run.stderr);
  assert.equal(await readFile(child('starts'), 'utf8'), 'x\n');
  return run.stderr.split('\n').filter((line) => /^(?:child|code) /.test(line));
}

/** How the newest run of the stack is recorded. */
async function recorded(): Promise<unknown> {
  const runs = await fleet.objects('runs');
  const { run, state } = runs.find(({ pattern }) => pattern === 'sexy') ?? {};
  return run === undefined ? undefined : state;
}

describe('a chained command whose agent ends', () => {
  for (const [signal, code] of [
    ['SIGKILL', 0],
    ['SIGTERM', 1],
  ] as const) {
    test(`by ${signal} is followed to its end under the next one, and gives its exit code, ${code}`, async () => {
      const run = await chained();
      for (let time = 0; time < 2; time++) {
        await fleet.stopAgent(host, signal);
        await fleet.startAgent(host);
      }
      await writeFile(child('go'), String(code));
      assert.deepEqual(await shown(run), ['child begins', 'child ends', `code ${code}`]);
      assert.equal(await recorded(), code === 0 ? 'succeeded' : 'failed');
    });
  }

  test('and that ends itself while there is none is told of by the next one', async () => {
    const run = await chained();
    await fleet.stopAgent(host);
    await writeFile(child('go'), '1');
    await until('the child has ended', () => exists(child('ended')));
    await fleet.startAgent(host);
    assert.deepEqual(await shown(run), ['child begins', 'child ends', 'code 1']);
  });

  test('ends with the run whose hook called it, when that is cancelled under the next one', async () => {
    const run = await chained();
    await fleet.stopAgent(host);
    await fleet.startAgent(host);
    run.kill('SIGINT');
    assert.equal(await run.ended, 130);
    await fleet.until('it is recorded', async () => (await recorded()) === 'cancelled');
    assert.equal(await exists(child('ended')), false);
  });

  test('leaves nothing in the agent’s folder', async () => {
    const folder = join(fleet.home(host), 'agent');
    await until('all is acknowledged', async () => {
      const left = await Promise.all(['tasks', 'local-runs'].map((name) => readdir(join(folder, name))));
      return left.flat().length === 0;
    });
  });
});
