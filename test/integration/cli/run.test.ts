import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { KomposeError } from '../../../common/errors.ts';
import { protocolVersion } from '../../../proto/protocol-version.ts';
import { CliProcess, runCli } from './cli-process.ts';
import {
  createKeys,
  FakeController,
  type FleetKeys,
  type Script,
  type StartedRun,
} from './fake-controller.ts';
import { ended, output, runId, started } from './run-events.ts';

let keys: FleetKeys;
let home: string;

before(async () => {
  keys = await createKeys();
  home = await mkdtemp(join(tmpdir(), 'kompose-cli-'));
  const controller = await FakeController.start({}, keys);
  const { code, stderr } = await runCli(home, 'login', controller.token);
  await controller.kill();
  assert.equal(code, 0, stderr);
});

after(() => rm(home, { recursive: true }));

/** A controller for one test. */
async function serve(t: TestContext, script: Script, port?: number): Promise<FakeController> {
  const controller = await FakeController.start(script, keys, port);
  t.after(() => controller.kill());
  return controller;
}

function kompose({ address }: FakeController, ...args: string[]): CliProcess {
  return new CliProcess(home, ['--controller', address, ...args]);
}

test('sends the whole request, shows the output and ends with the exit code of the run', async (t) => {
  const asked = Promise.withResolvers<StartedRun>();
  const controller = await serve(t, {
    startRun: (run) => {
      asked.resolve(run);
      run.send([started('prod-1:sexy'), output(2, 'bytes'), ...ended(3, 'failed', 42)]);
      run.end();
    },
  });
  const options = ['-H', 'prod-*', '-L', 'env=prod', '-e', 'A= b', '--network', 'n', '--timeout', '2s'];
  const cli = kompose(controller, ...options, 'sexy', 'exec', '-T', 'db', '', 'a b', '--', '-x');
  assert.equal(await cli.ended, 42);
  assert.equal(cli.stdout, 'bytes');
  assert.equal(cli.stderr, 'prod-1:sexy failed after 5ms: because\n');
  assert.partialDeepStrictEqual((await asked.promise).request, {
    pattern: 'sexy',
    command: 'exec',
    args: ['-T', 'db', '', 'a b', '--', '-x'],
    filter: { hosts: ['prod-*'], labels: ['env=prod'] },
    env: { A: ' b' },
    network: 'n',
    dryRun: false,
    timeoutMs: 2000,
    detach: false,
  });
  assert.deepEqual([...controller.protocolsSeen], [String(protocolVersion)]);
});

test('loses nothing and doubles nothing when the controller is killed in the middle', async (t) => {
  const first = await serve(t, {
    startRun: (run) => run.send([started('prod-1:sexy'), output(2, 'one\n')]),
  });
  const cli = kompose(first, 'sexy', 'up');
  await cli.shows('stdout', 'one\n');
  await first.kill();
  const asked: unknown[] = [];
  await serve(
    t,
    {
      watchRun: (run, afterSeq, watch) => {
        asked.push([run, afterSeq]);
        watch.send([output(2, 'one\n'), output(3, 'two\n'), ...ended(4, 'succeeded', 0)]);
        watch.end();
      },
    },
    first.port,
  );
  assert.equal(await cli.ended, 0);
  assert.equal(cli.stdout, 'one\ntwo\n');
  assert.deepEqual(asked, [[runId, 2]]);
  assert.match(cli.stderr, /the run goes on/);
});

test('watches again when the controller ends the stream without the end of the run', async (t) => {
  const controller = await serve(t, {
    startRun: (run) => {
      run.send([started('prod-1:sexy')]);
      run.end();
    },
    watchRun: (_, afterSeq, watch) => {
      watch.send(ended(afterSeq + 1, 'succeeded', 0));
      watch.end();
    },
  });
  assert.equal(await kompose(controller, 'sexy', 'up').ended, 0);
});

test('does not start a run twice when the link is lost before the first event', async (t) => {
  let starts = 0;
  const controller = await serve(t, {
    startRun: (run) => {
      starts++;
      run.end();
    },
  });
  const cli = kompose(controller, 'sexy', 'up');
  assert.equal(await cli.ended, 6);
  assert.equal(starts, 1);
  assert.match(cli.stderr, /see kompose runs ls\n$/);
});

for (const isKnown of [true, false]) {
  const what = isKnown ? 'it was recorded: shows it' : 'it was not: says so';
  test(`finds the run that it signed after the controller was killed, and if ${what}`, async (t) => {
    const signed = Promise.withResolvers<void>();
    const first = await serve(t, { startRun: (run) => run.propose(runId).then(signed.resolve) });
    const cli = kompose(first, 'sexy', 'up');
    await signed.promise;
    await first.kill();
    const asked: unknown[] = [];
    await serve(
      t,
      {
        watchRun: (run, afterSeq, watch) => {
          asked.push([run, afterSeq]);
          if (!isKnown) {
            watch.fail(new KomposeError('not-found', 'there is no such run'));
            return;
          }
          watch.send([started('prod-1:sexy'), output(2, 'one\n'), ...ended(3, 'succeeded', 0)]);
          watch.end();
        },
      },
      first.port,
    );
    assert.equal(await cli.ended, isKnown ? 0 : 6);
    assert.equal(cli.stdout, isKnown ? 'one\n' : '');
    assert.deepEqual(asked, [[runId, 0]]);
    assert.match(cli.stderr, isKnown ? /is known when it is back/ : /see kompose runs ls\n$/);
  });
}

test('cancels the run at the first Ctrl-C, says how to detach instead, and ends with its exit code', async (t) => {
  const controller = await serve(t, {
    startRun: async (run) => {
      run.send([started('prod-1:sexy'), output(2, 'busy\n')]);
      await run.cancelled;
      run.send(ended(3, 'cancelled', 130));
      run.end();
    },
  });
  const cli = kompose(controller, 'sexy', 'up');
  await cli.shows('stdout', 'busy');
  cli.kill('SIGINT');
  assert.equal(await cli.ended, 130);
  const instead = `with --detach a run goes on, and kompose runs attach ${runId} follows it`;
  assert.match(cli.stderr, new RegExp(`^cancelling .*${instead}`, 'm'));
  assert.match(cli.stderr, /prod-1:sexy cancelled/);
});

test('leaves at the second Ctrl-C and says how to come back', async (t) => {
  const controller = await serve(t, {
    startRun: (run) => run.send([started('prod-1:sexy'), output(2, 'busy\n')]),
  });
  const cli = kompose(controller, 'sexy', 'up');
  await cli.shows('stdout', 'busy');
  cli.kill('SIGINT');
  await cli.shows('stderr', 'cancelling');
  cli.kill('SIGINT');
  assert.equal(await cli.ended, 130);
  assert.match(cli.stderr, new RegExp(`left the run: kompose runs attach ${runId}\n$`));
});

test('ends 130 at the first Ctrl-C while nothing is started yet', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1');
  t.after(() => silent.close());
  const dialled = once(silent, 'connection');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const cli = new CliProcess(home, ['--controller', `127.0.0.1:${port}`, 'sexy', 'up']);
  await dialled;
  cli.kill('SIGINT');
  assert.equal(await cli.ended, 130);
  assert.equal(cli.stderr, 'nothing was started\n');
});

test('attaches from the start, and Ctrl-C leaves the run alone', async (t) => {
  const controller = await serve(t, {
    watchRun: (run, afterSeq, watch) => {
      assert.deepEqual([run, afterSeq], ['01J', 0]);
      watch.send([started('prod-1:sexy'), output(2, 'busy\n')]);
    },
  });
  const cli = kompose(controller, 'runs', 'attach', '01J');
  await cli.shows('stdout', 'busy');
  cli.kill('SIGINT');
  assert.equal(await cli.ended, 130);
  assert.deepEqual(controller.cancelCalls, []);
});

test("prints a detached run's id alone, and leaves", async (t) => {
  const asked = Promise.withResolvers<StartedRun>();
  const controller = await serve(t, {
    startRun: (run) => {
      asked.resolve(run);
      run.send([started('prod-1:sexy')]);
    },
  });
  const cli = kompose(controller, '--detach', 'sexy', 'up');
  assert.equal(await cli.ended, 0);
  assert.equal(cli.stdout, `${runId}\n`);
  assert.equal(cli.stderr, '');
  const run = await asked.promise;
  assert.equal(run.request.detach, true);
  await run.left;
});

const refusals: readonly [KomposeError, number][] = [
  [new KomposeError('not-found', 'nothing matches "sexi"; nearest: prod-1:sexy'), 3],
  [new KomposeError('denied', 'viewers cannot do that'), 5],
  [new KomposeError('unauthenticated', 'ada was removed'), 5],
  [new KomposeError('unavailable', 'the store cannot write'), 1],
  [new KomposeError('usage', 'up on several targets: add -d'), 2],
];
for (const [error, exitCode] of refusals) {
  test(`ends ${exitCode} with the controller's own line when it answers ${error.code}`, async (t) => {
    const controller = await serve(t, { startRun: (run) => run.fail(error) });
    const cli = kompose(controller, 'sexy', 'up');
    assert.equal(await cli.ended, exitCode);
    assert.equal(cli.stderr, `kompose: ${error.message}\n`);
    assert.equal(cli.stdout, '');
  });
}

test('ends quietly when nobody reads stdout any more', async (t) => {
  const controller = await serve(t, {
    startRun: async (run) => {
      run.send([started('prod-1:sexy'), output(2, 'first\n')]);
      let seq = 3;
      const more = setInterval(() => run.send([output(seq++, 'more\n')]), 5);
      await run.left;
      clearInterval(more);
    },
  });
  const cli = kompose(controller, 'sexy', 'logs', '-f');
  await cli.shows('stdout', 'first');
  cli.child.stdout.destroy();
  const [code] = await once(cli.child, 'exit');
  assert.equal(code, 141);
  assert.equal(cli.stderr, '');
});

test('prints events alone on stdout with -o json', async (t) => {
  const controller = await serve(t, {
    startRun: (run) => {
      run.send([started('prod-1:sexy'), output(2, 'x'), ...ended(3, 'succeeded', 0)]);
      run.end();
    },
  });
  const cli = kompose(controller, '-o', 'json', 'sexy', 'up');
  assert.equal(await cli.ended, 0);
  const types = cli.stdout
    .trim()
    .split('\n')
    .map((line) => /^\{"type":"([a-z.]+)"/.exec(line)?.[1]);
  assert.deepEqual(types, ['run.started', 'output', 'task.finished', 'run.finished']);
  assert.equal(cli.stderr, '');
});
