import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { signRun } from '../../../cli/sign-run.ts';
import { signingKeyFromPem } from '../../../common/signing/signing-key.ts';
import { RunRequest, type PlanRetryResponse } from '../../../proto/gen/kompose/v1/fleet.ts';
import { runCli } from './cli-process.ts';
import { createKeys, FakeController, type FleetKeys, type StartedRun } from './fake-controller.ts';
import { ended, output, started } from './run-events.ts';
import { TerminalProcess } from './terminal-process.ts';

let keys: FleetKeys;
let home: string;

before(async () => {
  keys = await createKeys();
  home = await mkdtemp(join(tmpdir(), 'kompose-cli-'));
});

after(() => rm(home, { recursive: true }));

/** A controller with as many stacks as asked for; its runs end well. */
async function serve(
  t: TestContext,
  stacks: readonly string[],
): Promise<{ address: string; runs: StartedRun[] }> {
  const runs: StartedRun[] = [];
  const target = { composeFile: '', hooks: [], hasEnvFile: false, dumps: 0, online: true, servicesUp: [] };
  const controller = await FakeController.start(
    {
      startRun: (run) => {
        runs.push(run);
        run.send([started('a:b'), output(2, 'text'), ...ended(3, 'succeeded', 0)]);
        run.end();
      },
      fleet: {
        listStacks: (call) => {
          for (const stack of stacks) call.write({ ...target, host: 'prod-1', stack, servicesError: '' });
          call.end();
        },
      },
    },
    keys,
  );
  t.after(() => controller.kill());
  await runCli(home, 'login', controller.token);
  return { address: controller.address, runs };
}

test('asks before it takes several targets away, and does nothing without a yes', async (t) => {
  const { runs } = await serve(t, ['news', 'sexy']);
  const cli = new TerminalProcess(home, ['*', 'down', '-v']);
  await cli.shows('down -v on these 2 targets? [y/N]');
  assert.match(cli.text, /prod-1:news\r\n {2}prod-1:sexy/);
  cli.type('\r');
  assert.equal(await cli.ended, 1);
  assert.match(cli.text, /kompose: not confirmed: nothing was done/);
  assert.equal(runs.length, 0);
});

test('goes on after a yes', async (t) => {
  const { runs } = await serve(t, ['news', 'sexy']);
  const cli = new TerminalProcess(home, ['*', 'stop']);
  await cli.shows('[y/N]');
  cli.type('y\r');
  assert.equal(await cli.ended, 0);
  assert.equal(runs.length, 1);
});

test('ends 130 at Ctrl-C instead of an answer', async (t) => {
  const { runs } = await serve(t, ['news', 'sexy']);
  const cli = new TerminalProcess(home, ['*', 'kill']);
  await cli.shows('[y/N]');
  cli.type('\u0003');
  assert.equal(await cli.ended, 130);
  assert.equal(runs.length, 0);
});

const unasked: readonly [what: string, stacks: string[], args: string[]][] = [
  ['for one target', ['sexy'], ['*', 'down']],
  ['with --yes', ['news', 'sexy'], ['-y', '*', 'down']],
  ['in a dry run', ['news', 'sexy'], ['-n', '*', 'down']],
  ['for a command that takes nothing away', ['news', 'sexy'], ['*', 'restart']],
];
for (const [what, stacks, args] of unasked) {
  test(`does not ask ${what}`, async (t) => {
    await serve(t, stacks);
    const cli = new TerminalProcess(home, args);
    assert.equal(await cli.ended, 0);
    assert.doesNotMatch(cli.text, /\[y\/N\]/);
  });
}

test('does not ask without a terminal', async (t) => {
  const { runs } = await serve(t, ['news', 'sexy']);
  assert.equal((await runCli(home, '*', 'down')).code, 0);
  assert.equal(runs.length, 1);
});

test('colours on a terminal only, and not where colour is unwanted', async (t) => {
  await serve(t, []);
  const shown = async (args: string[], env: Record<string, string> = {}): Promise<string> => {
    const cli = new TerminalProcess(home, args, env);
    assert.equal(await cli.ended, 0);
    return cli.text;
  };
  const coloured = 'text\r\na:b \u001b[32msucceeded in 5ms\u001b[0m\r\n';
  const bare = 'text\r\na:b succeeded in 5ms\r\n';
  assert.equal(await shown(['sexy', 'up']), coloured);
  assert.equal(await shown(['--no-color', 'sexy', 'up']), bare);
  assert.equal(await shown(['sexy', 'up'], { NO_COLOR: '1' }), bare);
  assert.equal((await runCli(home, 'sexy', 'up')).stderr, 'a:b succeeded in 5ms\n');
});

const signedRun = {
  ...RunRequest.decode(Buffer.alloc(0)),
  pattern: '*',
  command: 'up',
  args: ['-d'],
  env: { API_KEY: 'a', DB_PASSWORD: 'b' },
};

/** As the user who is logged in has signed it, which the controller has kept without its secrets. */
async function planOf(request: RunRequest): Promise<PlanRetryResponse> {
  const key = signingKeyFromPem(await readFile(join(home, 'user/contexts/default/signing.key'), 'utf8'));
  const [runId, taskId] = ['01J00000000000000000000000', '01J00000000000000000000001'];
  const target = { taskId, host: 'a', stack: 'b' };
  const { order, signatures } = signRun({ request }, { runId, targets: [target] }, key, Date.now());
  const targets = signatures.map((signature) => ({ ...target, signature }));
  const { command, args } = request;
  const secretNames = ['API_KEY', 'DB_PASSWORD'];
  return { runId, targets, command, args, secretNames, dryRun: false, order, env: [], network: undefined };
}

test('asks for the secret values of a run to repeat, and does not show them', async (t) => {
  const asked = Promise.withResolvers<StartedRun>();
  const controller = await FakeController.start(
    {
      startRun: (run) => {
        asked.resolve(run);
        run.send([started('a:b'), ...ended(2, 'succeeded', 0)]);
        run.end();
      },
      fleet: {
        planRetry: (_, callback) => {
          void planOf(signedRun).then((plan) => callback(null, plan));
        },
      },
    },
    keys,
  );
  t.after(() => controller.kill());
  await runCli(home, 'login', controller.token);
  const cli = new TerminalProcess(home, ['runs', 'retry', '01', '-e', 'API_KEY=k']);
  await cli.shows('DB_PASSWORD: ');
  cli.type('hunter2\r');
  assert.equal(await cli.ended, 0, cli.text);
  const { request } = await asked.promise;
  assert.deepEqual(request.env, { API_KEY: 'k', DB_PASSWORD: 'hunter2' });
  assert.equal(request.retryOf, '01J00000000000000000000000');
  assert.ok(!cli.text.includes('hunter2'), cli.text);
});
