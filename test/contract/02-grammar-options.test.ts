import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  endFleet,
  jsonLines,
  readStackFile,
  runJson,
  shows,
  startFleet,
  until,
  untilKnown,
  writeStacks,
} from '../e2e/support.ts';

/* Section 2 of the command contract: the rows of the options that say how a run goes. */

const fleet = await startFleet(['prod-1', 'prod-2', 'prod-3']);
after(() => endFleet(fleet));
const trace = join(fleet.folder, 'trace');

/** What `stop` does is written down: when each hook begins and ends, and what it sees. */
const hooks = `
hook_pre_stop() {
  echo "+$KOMPOSE_HOST:$KOMPOSE_STACK" >>"$TRACE"
  \${WAIT:+eval "$WAIT"}
  echo "-$KOMPOSE_HOST:$KOMPOSE_STACK" >>"$TRACE"
  printf '%s|' "\${VALUE-unset}" "\${NETWORK_NAME-unset}" >seen
  return "\${CODE:-0}"
}
hook_pre_ps() { hook_pre_stop; }
`;
const stacks = {
  'prod-1:app': { 'hooks.sh': hooks, '.env': 'VALUE=of the file\nNETWORK_NAME=of-the-file\n' },
  'prod-1:bot': { 'hooks.sh': hooks },
  'prod-2:app': { 'hooks.sh': hooks },
  'prod-3:app': { 'hooks.sh': hooks },
};
await writeStacks(fleet, stacks);
await untilKnown(fleet, stacks);
beforeEach(() => rm(trace, { force: true }));

const traced = ['-e', `TRACE=${trace}`];
/** Until so many have begun. */
const barrier = (count: number): string[] => [
  '-e',
  `WAIT=until [ "$(grep -c + "$TRACE")" -ge ${count} ]; do sleep 0.02; done`,
];
const slow = ['-e', 'WAIT=sleep 0.3'];

async function lines(): Promise<string[]> {
  return (await readFile(trace, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
}

async function mostAtOnce(): Promise<number> {
  let now = 0;
  return (await lines()).reduce((most, line) => Math.max(most, (now += line.startsWith('+') ? 1 : -1)), 0);
}

async function states(...args: readonly string[]): Promise<{ exitCode: number; states: string }> {
  const { exitCode, ends, stderr } = await runJson(fleet, ['--timeout', '30', ...traced, ...args]);
  assert.notEqual(exitCode, 2, stderr);
  const inOrder = Object.entries(ends).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { exitCode, states: inOrder.map(([, { state }]) => state).join(' ') };
}

describe('-n, --dry-run', { timeout: 60_000 }, () => {
  it('runs no hook, sources no file, and takes no lock: it does not wait for one either', async () => {
    await writeStacks(fleet, { 'prod-2:app': { 'hooks.sh': `touch sourced; ${hooks}` } });
    const holder = fleet.spawnKompose([...traced, '-e', 'WAIT=sleep 60', 'prod-2:app', 'stop']);
    await until('the lock is taken', async () => (await lines()).length === 1);
    await rm(join(fleet.stacks('prod-2'), 'app', 'sourced'));
    for (const flag of ['-n', '--dry-run']) {
      const { exitCode, stdout } = await fleet.kompose([flag, ...traced, 'prod-2:app', 'stop']);
      assert.equal(exitCode, 0);
      assert.match(
        stdout,
        /^prod-2:app {2}in .*\n {2}pre {5}hook_pre_stop stop\n {2}action {2}docker compose stop\n$/,
      );
    }
    holder.kill('SIGINT');
    assert.equal((await holder).exitCode, 130);
    assert.equal((await lines()).length, 1);
    assert.equal(await readStackFile(fleet, 'prod-2', 'app', 'sourced'), '');
    await writeStacks(fleet, { 'prod-2:app': { 'hooks.sh': hooks } });
  });
});

describe('-e, --env K=V', { timeout: 60_000 }, () => {
  const seen = async (...args: readonly string[]): Promise<string> => {
    assert.equal((await fleet.kompose([...traced, ...args, 'prod-1:app', 'stop'])).exitCode, 0);
    return readStackFile(fleet, 'prod-1', 'app', 'seen');
  };

  it('wins over every file, is split at the first =, and may be empty', async () => {
    assert.match(await seen(), /^of the file\|/);
    assert.match(await seen('-e', 'VALUE=a=b = c'), /^a=b = c\|/);
    assert.match(await seen('--env', 'VALUE='), /^\|/);
    assert.match(await seen('-e', 'VALUE=first', '-e', 'VALUE=last'), /^last\|/);
  });

  it('--network NAME loses only to -e NETWORK_NAME=', async () => {
    assert.match(await seen(), /\|of-the-file\|$/);
    assert.match(await seen('--network', 'edge'), /\|edge\|$/);
    assert.match(await seen('-e', 'NETWORK_NAME=mine', '--network', 'edge'), /\|mine\|$/);
  });
});

describe('--parallel N', { timeout: 120_000 }, () => {
  it('by default all hosts at once, on one host stacks one by one in name order', async () => {
    assert.equal(
      (await states(...barrier(3), '*', 'stop')).states,
      'succeeded succeeded succeeded succeeded',
    );
    assert.deepEqual(
      (await lines()).filter((line) => line.includes('prod-1')),
      ['+prod-1:app', '-prod-1:app', '+prod-1:bot', '-prod-1:bot'],
    );
  });

  it('by default reading commands on all stacks of a host at once', async () => {
    assert.equal((await states(...barrier(4), '*', 'ps')).exitCode, 0);
  });

  for (const count of [1, 2]) {
    it(`${count} means at most so many tasks at a time, fleet-wide, and no fewer`, async () => {
      for (const command of ['stop', 'ps']) {
        await rm(trace, { force: true });
        const wait = count === 1 ? slow : barrier(count);
        assert.equal((await states('--parallel', String(count), ...wait, '*', command)).exitCode, 0);
        assert.equal((await lines()).length, 8);
        assert.equal(await mostAtOnce(), count, command);
      }
    });
  }
});

describe('--batch N or N%', { timeout: 120_000 }, () => {
  it('1 rolls through the hosts one by one', async () => {
    assert.equal((await states('--batch', '1', '*', 'stop')).exitCode, 0);
    const inTurn = ['prod-1:app', 'prod-1:bot', 'prod-2:app', 'prod-3:app'];
    assert.deepEqual(
      await lines(),
      inTurn.flatMap((target) => [`+${target}`, `-${target}`]),
    );
  });

  it('2 starts the next group when the last has ended', async () => {
    const two = [
      '-e',
      `WAIT=[ $KOMPOSE_HOST = prod-3 ] || until [ "$(grep -c '+.*:app' "$TRACE")" -ge 2 ]; do sleep 0.02; done`,
    ];
    assert.equal((await states('--batch', '2', ...two, 'app', 'stop')).exitCode, 0);
    const order = await lines();
    assert.deepEqual(order.slice(4), ['+prod-3:app', '-prod-3:app']);
  });

  it('100% is all of them, and a small percentage still one', async () => {
    assert.equal((await states('--batch', '100%', ...barrier(3), 'app', 'stop')).exitCode, 0);
    await rm(trace);
    assert.equal((await states('--batch', '1%', 'app', 'stop')).exitCode, 0);
    assert.equal(await mostAtOnce(), 1);
  });

  it('--batch-wait DURATION is the pause between groups, and only between them', async () => {
    const { events } = await runJson(fleet, [
      ...traced,
      '--batch',
      '1',
      '--batch-wait',
      '700ms',
      'app',
      'stop',
    ]);
    const timeOf = (type: string, host: string): number =>
      Date.parse(events.find((event) => event.type === type && event.host === host)?.time ?? '');
    for (const [host, next] of [
      ['prod-1', 'prod-2'],
      ['prod-2', 'prod-3'],
    ] as const) {
      assert.ok(timeOf('task.started', next) - timeOf('task.finished', host) >= 690, next);
    }
    const last = events.at(-1);
    assert.equal(last?.type, 'run.finished');
    assert.ok(Date.parse(last?.time ?? '') - timeOf('task.finished', 'prod-3') < 600);
  });
});

describe('--max-failures N or N%', { timeout: 120_000 }, () => {
  const failing = ['--parallel', '1', '-e', 'CODE=1', '*', 'stop'];
  const rows: readonly (readonly [value: string | undefined, states: string])[] = [
    [undefined, 'failed failed failed failed'],
    ['0', 'failed cancelled cancelled cancelled'],
    ['1', 'failed failed cancelled cancelled'],
    ['50%', 'failed failed failed cancelled'],
    ['49%', 'failed failed cancelled cancelled'],
    ['0%', 'failed cancelled cancelled cancelled'],
  ];
  for (const [value, expected] of rows) {
    it(`${value ?? 'not given'}: four failing targets end ${expected}`, async () => {
      const option = value === undefined ? [] : ['--max-failures', value];
      assert.deepEqual(await states(...option, ...failing), { exitCode: 1, states: expected });
    });
  }

  it('counts what timed out, too', async () => {
    const slower = ['--timeout', '300ms', '--max-failures', '0', '--parallel', '1', '-e', 'WAIT=sleep 9'];
    const { exitCode, ends } = await runJson(fleet, [...traced, ...slower, 'app', 'stop']);
    assert.equal(exitCode, 1);
    assert.deepEqual(
      Object.values(ends).map(({ state }) => state),
      ['timed-out', 'cancelled', 'cancelled'],
    );
  });
});

describe('--timeout DURATION', { timeout: 60_000 }, () => {
  it('is a deadline of each task from its own start', async () => {
    const three = ['--parallel', '1', '--timeout', '3s', '-e', 'WAIT=sleep 1.2', 'app', 'stop'];
    const { exitCode, ends } = await runJson(fleet, [...traced, ...three]);
    assert.equal(exitCode, 0, JSON.stringify(ends));
  });

  it('takes 500ms 3s 1m30s 2h 1d, and a bare number is seconds', async () => {
    for (const value of ['500ms', '3s', '1m30s', '2h', '1d', '7']) {
      assert.equal((await fleet.kompose(['--timeout', value, '-n', 'bot', 'stop'])).exitCode, 0, value);
    }
    const { ends } = await runJson(fleet, [...traced, '--timeout', '1', '-e', 'WAIT=sleep 9', 'bot', 'stop']);
    assert.equal(ends['prod-1:bot']?.state, 'timed-out');
    const took = ends['prod-1:bot']?.durationMs ?? 0;
    assert.ok(took >= 1000 && took < 5000, String(took));
  });
});

describe('--detach', { timeout: 60_000 }, () => {
  it("prints the run's id, alone, and the run goes on", async () => {
    const { exitCode, stdout, stderr } = await fleet.kompose(['--detach', ...traced, ...slow, 'bot', 'stop']);
    assert.deepEqual([exitCode, stderr], [0, '']);
    assert.match(stdout, /^\w+\n$/);
    await until('it has ended well', async () => {
      const shown = await fleet.kompose(['runs', 'show', stdout.trim(), '-o', 'json']);
      return jsonLines(shown.stdout)[0]?.state === 'succeeded';
    });
    assert.equal((await lines()).length, 2);
  });
});

describe('--offline fail, skip, wait=DURATION', { timeout: 120_000 }, () => {
  before(async () => {
    await fleet.kill('prod-1');
    await until('prod-1 is offline', async () => {
      const { stdout } = await fleet.kompose(['hosts', '-o', 'json']);
      return jsonLines(stdout).some(({ name, online }) => name === 'prod-1' && online === false);
    });
  });

  it('fail, the default, ends its targets unreachable', async () => {
    const expected = { exitCode: 4, states: 'unreachable succeeded succeeded' };
    assert.deepEqual(await states('app', 'stop'), expected);
    assert.deepEqual(await states('--offline', 'fail', 'app', 'stop'), expected);
  });

  it('fail counts for --max-failures', async () => {
    const expected = { exitCode: 4, states: 'unreachable cancelled cancelled' };
    assert.deepEqual(await states('--max-failures', '0', '--parallel', '1', 'app', 'stop'), expected);
  });

  it('skip skips them', async () => {
    const expected = { exitCode: 0, states: 'skipped succeeded succeeded' };
    assert.deepEqual(await states('--offline', 'skip', 'app', 'stop'), expected);
  });

  it('wait=DURATION gives up after that time', async () => {
    const expected = { exitCode: 4, states: 'unreachable succeeded succeeded' };
    assert.deepEqual(await states('--offline', 'wait=300ms', 'app', 'stop'), expected);
  });

  it('wait=DURATION starts the task when the host is back', async () => {
    const waiting = fleet.spawnKompose([...traced, '--offline', 'wait=40s', 'app', 'stop']);
    await shows(waiting, 'stderr', 'docker compose stop');
    await fleet.startAgent('prod-1');
    assert.equal((await waiting).exitCode, 0);
    assert.ok((await lines()).includes('-prod-1:app'));
  });
});
