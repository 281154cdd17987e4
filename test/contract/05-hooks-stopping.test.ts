import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { workOfCommand } from '../../agent/containers/work-of-command.ts';
import { Screen } from '../e2e/screen.ts';
import {
  containers,
  dockerLines,
  endFleet,
  idleService,
  jsonLines,
  outputOf,
  processesOf,
  readStackFile,
  runJson,
  shows,
  startFleet,
  until,
  writeStacks,
  type Program,
} from '../e2e/support.ts';
import { kompose as program } from '../fleet/release.ts';

/*
 * Section 5 of the command contract, its last row: what a cancel, a timeout and a lost client reach. The engine is on the agent's own machine; where
 * it is not, it is as for an agent in a process namespace of its own, which sees nothing of the containers.
 */
const host = 'prod-1';
const fleet = await startFleet([host]);
after(() => endFleet(fleet));
const clientEnv = { PATH: process.env['PATH'] ?? '', HOME: '/root', KOMPOSE_HOME: fleet.home };
/** Goes on whatever is sent to it, save SIGKILL, and so does its child. */
const stubborn = (name: string): string =>
  `trap '' TERM HUP INT; : ${name}; (while :; do sleep 1; done) & echo begun; wait`;

/** The command lines inside a container that hold the name. */
async function inside(container: string, name: string): Promise<string[]> {
  const lines = await dockerLines(fleet, host, 'top', container, '-eo', 'pid,args');
  return lines.filter((line) => line.includes(name));
}

const begun = (client: Program): Promise<string> => shows(client, 'stdout', 'begun', 60_000);

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

describe('timeout or cancel', { concurrency: 4, timeout: 180_000 }, () => {
  describe('every process of a hook on the host', { concurrency: 3 }, () => {
    const children = `
hook_pre_up() {
  sleep 1000 &
  ( trap '' HUP; sleep 1001 & sleep 1002 ) &
  bash -c 'sleep 1003 & wait' &
  echo begun
  wait
}`;

    it('ends with runs cancel, and the exit code is 130', async () => {
      await writeStacks(fleet, { [`${host}:cancelled`]: { 'hooks.sh': children } });
      const client = fleet.spawnKompose(['-o', 'json', 'cancelled', 'up', '-d']);
      const [started] = jsonLines((await begun(client)).split('\n', 1).join(''));
      const running = async (): Promise<boolean> => (await processesOf(fleet, host, 'cancelled')).length >= 6;
      await until('all of the hook runs', running);
      const cancel = await fleet.kompose(['runs', 'cancel', started?.run ?? '']);
      assert.equal(cancel.exitCode, 0);
      const { exitCode, stdout } = await client;
      assert.equal(exitCode, 130);
      assert.deepEqual(await processesOf(fleet, host, 'cancelled'), []);
      const end = jsonLines(stdout).find(({ type }) => type === 'task.finished');
      assert.equal(end?.state, 'cancelled');
      assert.match(end?.reason ?? '', /cancelled by .*, during hook_pre_up/);
      assert.equal((await containers(fleet, host)).includes('cancelled-api-1'), false);
    });

    it('gets SIGTERM at its deadline: timed-out, exit code 1', async () => {
      const hooks = "hook_pre_up() { trap 'echo heard; exit 0' TERM; sleep 1000 & wait; }\n";
      await writeStacks(fleet, { [`${host}:late`]: { 'hooks.sh': hooks } });
      const { exitCode, events, ends } = await runJson(fleet, ['--timeout', '4s', 'late', 'up', '-d']);
      assert.equal(exitCode, 1);
      assert.equal(ends[`${host}:late`]?.state, 'timed-out');
      assert.match(
        ends[`${host}:late`]?.reason ?? '',
        /not done after 4 s \(--timeout\), during hook_pre_up/,
      );
      assert.equal(outputOf(events, 'pre'), 'heard\n');
      assert.deepEqual(await processesOf(fleet, host, 'late'), []);
    });

    it('is killed though it ignores SIGTERM, left the group by setsid, and cleared its environment', async () => {
      const deaf = `trap '' TERM HUP; echo begun >>begun; while :; do sleep 1; done\n`;
      const strays = ['setsid', 'env -i', 'setsid env -i', 'setsid -f'];
      const hooks = `hook_pre_up() {\n${strays.map((how) => `${how} /bin/bash deaf.sh &\n`).join('')}wait\n}\n`;
      await writeStacks(fleet, { [`${host}:strays`]: { 'hooks.sh': hooks, 'deaf.sh': deaf } });
      const client = fleet.spawnKompose(['strays', 'up', '-d']);
      const begunAll = 'begun\n'.repeat(strays.length);
      const haveBegun = async (): Promise<boolean> =>
        (await readStackFile(fleet, host, 'strays', 'begun')) === begunAll;
      await until('all have begun', haveBegun, 60_000);
      client.kill('SIGINT');
      assert.equal((await client).exitCode, 130);
      assert.deepEqual(await processesOf(fleet, host, 'strays'), []);
    });

    it('is killed ten seconds after a SIGTERM that it ignores', async () => {
      const hooks = "hook_pre_up() { trap '' TERM; while :; do sleep 1; done; }\n";
      await writeStacks(fleet, { [`${host}:deaf`]: { 'hooks.sh': hooks } });
      const { events, ends } = await runJson(fleet, ['--timeout', '4s', 'deaf', 'up', '-d']);
      assert.equal(ends[`${host}:deaf`]?.state, 'timed-out');
      const step = events.find(({ type }) => type === 'step.finished');
      assert.equal(step?.exitCode, 137);
      assert((step.durationMs ?? 0) >= 10_000, `${step.durationMs} ms`);
      assert.deepEqual(await processesOf(fleet, host, 'deaf'), []);
    });
  });

  describe('what exec started inside a container', { concurrency: 8 }, () => {
    const exec = (name: string): string[] => ['app', 'exec', '-T', 'api', 'sh', '-c', stubborn(name)];

    it('ends with a cancel, and another run in the same container goes on', async () => {
      const script = ': others; echo begun; until [ -e /go ]; do sleep 0.1; done; echo gone on';
      const others = fleet.spawnKompose(['app', 'exec', '-T', 'api', 'sh', '-c', script]);
      const client = fleet.spawnKompose(exec('cancelled'));
      await Promise.all([begun(others), begun(client)]);
      assert.equal((await inside('app-api-1', 'cancelled')).length, 2);
      client.kill('SIGINT');
      assert.equal((await client).exitCode, 130);
      assert.deepEqual(await inside('app-api-1', 'cancelled'), []);
      assert.equal((await inside('app-api-1', 'others')).length, 1);
      await dockerLines(fleet, host, 'exec', 'app-api-1', 'touch', '/go');
      assert.match((await others).stdout, /gone on/);
    });

    it('ends with a timeout', async () => {
      const { exitCode, ends } = await runJson(fleet, ['--timeout', '5s', ...exec('late')]);
      assert.equal(exitCode, 1);
      const { state, reason } = ends[`${host}:app`] ?? {};
      assert.deepEqual(
        [state, reason],
        ['timed-out', 'not done after 5 s (--timeout), during docker compose exec'],
      );
      assert.deepEqual(await inside('app-api-1', 'late'), []);
    });

    it('gets SIGTERM first', async () => {
      const script = `trap 'echo tidied >/tmp/tidied; exit' TERM; echo begun; while :; do sleep 0.1; done`;
      const client = fleet.spawnKompose(['app', 'exec', '-T', 'api', 'sh', '-c', script]);
      await begun(client);
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
      const local = [process.execPath, program, '--local', '--timeout', '5s', '-o', 'json', ...words];
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
      assert.equal(reason, 'not done after 5 s (--timeout), during docker compose exec');
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
      await Promise.all([begun(others), begun(client)]);
      assert.equal((await onceRunning('cancelled')).length, 1);
      client.kill('SIGINT');
      assert.equal((await client).exitCode, 130);
      assert.deepEqual(await onceRunning('cancelled'), []);
      assert.equal((await onceRunning('others')).length, 1);
      await dockerLines(fleet, host, 'kill', 'once-others');
      await others;
    });

    it('is stopped by a timeout', async () => {
      const { exitCode, ends } = await runJson(fleet, ['--timeout', '5s', ...run('late'), ...sleep]);
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

    it('is removed where its client ended before it could start it', async () => {
      for (const task of ['STOPPED', 'ANOTHER']) {
        const label = `kompose.task=${task}`;
        await dockerLines(fleet, host, 'create', '--label', label, '--name', `once-${task}`, 'busybox:local');
      }
      const { env } = fleet.rig.host(host);
      const place = { task: 'STOPPED', env, cwd: fleet.stacks(host) };
      assert.equal(await workOfCommand('run', place)?.end(1000), undefined);
      const left = await dockerLines(
        fleet,
        host,
        'ps',
        '-a',
        '--filter',
        'status=created',
        '--format',
        '{{.Names}}',
      );
      assert.deepEqual(
        left.filter((name) => /^once-[A-Z]+$/.test(name)),
        ['once-ANOTHER'],
      );
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
