import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { Screen } from '../e2e/screen.ts';
import {
  dockerLines,
  endFleet,
  idleService,
  jsonLines,
  runJson,
  shows,
  startFleet,
  until,
  writeStacks,
} from '../e2e/support.ts';

/*
 * What a cancel, a timeout and a lost client reach inside containers. The engine is on the agent's own machine; where
 * it is not, it is as for an agent in a process namespace of its own, which sees nothing of the containers.
 */
const host = 'prod-1';
const fleet = await startFleet([host]);
after(() => endFleet(fleet));

const program = new URL('../../bin/kompose.ts', import.meta.url).pathname;
const clientEnv = { PATH: process.env['PATH'] ?? '', HOME: '/root', KOMPOSE_HOME: fleet.home };
/** Goes on whatever is sent to it, save SIGKILL, and so does its child. */
const stubborn = (name: string): string =>
  `trap '' TERM HUP INT; : ${name}; (while :; do sleep 1; done) & echo begun; wait`;

/** The command lines inside a container that hold the name. */
async function inside(container: string, name: string): Promise<string[]> {
  const lines = await dockerLines(fleet, host, 'top', container, '-eo', 'pid,args');
  return lines.filter((line) => line.includes(name));
}

before(async () => {
  await writeStacks(fleet, {
    [`${host}:app`]: {},
    // SIGTERM does nothing to a first process that does not handle it.
    [`${host}:once`]: { 'compose.yaml': `${idleService}    stop_signal: SIGTERM\n` },
    [`${host}:shellless`]: {},
  });
  for (const stack of ['app', 'shellless']) {
    const { exitCode, stderr } = await fleet.kompose([stack, 'up', '-d']);
    assert.equal(exitCode, 0, stderr);
  }
});

describe('what a stopped task leaves', { concurrency: 10, timeout: 120_000 }, () => {
  describe('what exec started inside a container', { concurrency: 8 }, () => {
    const exec = (name: string): string[] => ['app', 'exec', '-T', 'api', 'sh', '-c', stubborn(name)];

    it('ends with a cancel, and another run in the same container goes on', async () => {
      const script = ': others; echo begun; until [ -e /go ]; do sleep 0.1; done; echo gone on';
      const others = fleet.spawnKompose(['app', 'exec', '-T', 'api', 'sh', '-c', script]);
      const client = fleet.spawnKompose(exec('cancelled'));
      await Promise.all([shows(others, 'stdout', 'begun'), shows(client, 'stdout', 'begun')]);
      assert.equal((await inside('app-api-1', 'cancelled')).length, 2);
      client.kill('SIGINT');
      assert.equal((await client).exitCode, 130);
      assert.deepEqual(await inside('app-api-1', 'cancelled'), []);
      assert.equal((await inside('app-api-1', 'others')).length, 1);
      await dockerLines(fleet, host, 'exec', 'app-api-1', 'touch', '/go');
      assert.match((await others).stdout, /gone on/);
    });

    it('ends with a timeout', async () => {
      const { exitCode, ends } = await runJson(fleet, ['--timeout', '2s', ...exec('late')]);
      assert.equal(exitCode, 1);
      const { state, reason } = ends[`${host}:app`] ?? {};
      assert.deepEqual(
        [state, reason],
        ['timed-out', 'not done after 2 s (--timeout), during docker compose exec'],
      );
      assert.deepEqual(await inside('app-api-1', 'late'), []);
    });

    it('gets SIGTERM first', async () => {
      const script = `trap 'echo tidied >/tmp/tidied; exit' TERM; echo begun; while :; do sleep 0.1; done`;
      const client = fleet.spawnKompose(['app', 'exec', '-T', 'api', 'sh', '-c', script]);
      await shows(client, 'stdout', 'begun');
      client.kill('SIGINT');
      assert.equal((await client).exitCode, 130);
      assert.deepEqual(await dockerLines(fleet, host, 'exec', 'app-api-1', 'cat', '/tmp/tidied'), ['tidied']);
    });

    it('ends with the terminal that it was typed into', async () => {
      const words = ['app', 'exec', '-it', 'api', 'sh', '-c', stubborn('vanished')];
      using screen = new Screen([process.execPath, program, ...words], { env: clientEnv });
      await screen.shows(/begun/);
      assert.equal((await inside('app-api-1', 'vanished')).length, 2);
      process.kill(screen.pid, 'SIGKILL');
      await until(
        'nothing is left',
        async () => (await inside('app-api-1', 'vanished')).length === 0,
        30_000,
      );
    });
  });

  describe('what exec started, where the host does not see into containers', { concurrency: 2 }, () => {
    /** Local mode on the same stacks, in a process namespace of its own. */
    async function blindly(...words: string[]): Promise<string> {
      const { argvPrefix, env } = fleet.rig.host(host);
      const namespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
      const local = [process.execPath, program, '--local', '--timeout', '2s', '-o', 'json', ...words];
      const [file = '', ...args] = [...argvPrefix, ...namespace, ...local];
      const { stdout, exitCode } = await execa(file, args, {
        cwd: fleet.stacks(host),
        env: { ...env, KOMPOSE_HOME: `${fleet.folder}/nobody` },
        reject: false,
        stdin: 'ignore',
      });
      assert.equal(exitCode, 1);
      const end = jsonLines(stdout).find(({ type }) => type === 'task.finished');
      assert.equal(end?.state, 'timed-out');
      return end.reason ?? '';
    }

    it('ends by signals from inside', async () => {
      const reason = await blindly('app', 'exec', '-T', 'api', 'sh', '-c', stubborn('unseen'));
      assert.equal(reason, 'not done after 2 s (--timeout), during docker compose exec');
      assert.deepEqual(await inside('app-api-1', 'unseen'), []);
    });

    it('is named in the report where it cannot be signalled', async () => {
      await dockerLines(fleet, host, 'exec', 'shellless-api-1', 'rm', '/bin/sh');
      const reason = await blindly('shellless', 'exec', '-T', 'api', 'sleep', '1234');
      assert.match(reason, /; what it started in container shellless-api-1 may still run: .*sh/);
      assert.equal((await inside('shellless-api-1', 'sleep 1234')).length, 1);
    });
  });

  describe('the container of run', { concurrency: 4 }, () => {
    const onceRunning = (name: string): Promise<string[]> =>
      dockerLines(fleet, host, 'ps', '--quiet', '--filter', `name=once-${name}`);
    const run = (name: string): string[] => ['once', 'run', '--rm', '--name', `once-${name}`, '-T', 'api'];
    const sleep = ['sh', '-c', 'echo begun; sleep 1000'];

    it('is stopped by a cancel, and that of another run is not', async () => {
      const others = fleet.spawnKompose([...run('others'), ...sleep]);
      const client = fleet.spawnKompose([...run('cancelled'), ...sleep]);
      await Promise.all([shows(others, 'stdout', 'begun'), shows(client, 'stdout', 'begun')]);
      assert.equal((await onceRunning('cancelled')).length, 1);
      client.kill('SIGINT');
      assert.equal((await client).exitCode, 130);
      assert.deepEqual(await onceRunning('cancelled'), []);
      assert.equal((await onceRunning('others')).length, 1);
      await dockerLines(fleet, host, 'kill', 'once-others');
      await others;
    });

    it('is stopped by a timeout', async () => {
      const { exitCode, ends } = await runJson(fleet, ['--timeout', '3s', ...run('late'), ...sleep]);
      assert.equal(exitCode, 1);
      assert.equal(ends[`${host}:once`]?.state, 'timed-out');
      assert.deepEqual(await onceRunning('late'), []);
    });

    it('is stopped when its terminal is gone', async () => {
      const words = ['once', 'run', '--name', 'once-vanished', '-it', 'api', ...sleep];
      using screen = new Screen([process.execPath, program, ...words], { env: clientEnv });
      await screen.shows(/begun/);
      process.kill(screen.pid, 'SIGKILL');
      await until('it is stopped', async () => (await onceRunning('vanished')).length === 0, 30_000);
    });

    it('goes on when it was detached', async () => {
      const { exitCode, stderr } = await fleet.kompose([
        'once',
        'run',
        '-d',
        '--name',
        'once-detached',
        'api',
      ]);
      assert.equal(exitCode, 0, stderr);
      assert.equal((await onceRunning('detached')).length, 1);
    });
  });
});
