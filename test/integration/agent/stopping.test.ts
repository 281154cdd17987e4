import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { terminateMarked } from '../../../agent/process/marked-processes.ts';
import { startProcess, type RunningProcess } from '../../../agent/process/running-process.ts';
import { isScarcity } from '../../../common/errors.ts';
import { Bench } from './bench.ts';
import { takeAllDescriptors } from './descriptors.ts';
import { endProcess, exists, isAlive, numbersAfter, until } from './processes.ts';

/** A tree of processes, each of which tells its number and sleeps. */
const tree = `
echo "pid $BASHPID"
sleep 1000 & echo "pid $!"
( sleep 1000 & echo "pid $!"; wait ) &
bash -c 'echo "pid $$"; bash -c "echo pid \\$\\$; exec sleep 1000" & wait' &
`;

function pids(t: TestContext, text: string): number[] {
  const found = numbersAfter('pid', text);
  t.after(() => found.forEach((pid) => endProcess(pid)));
  return found;
}

describe('a background job', () => {
  test('does not hold its step open and lives on', async (t) => {
    const bench = await Bench.create(t);
    const job =
      '{ for n in {1..50}; do echo "tick $n" || exit; sleep 0.01; done; touch survived; exec sleep 1000; } &';
    const folder = await bench.stack('sexy', { hooks: `hook_pre_up() {\n${job}\necho "pid $!"\n}` });
    const task = await bench.run();
    const [pid = 0] = pids(t, task.output('pre'));
    assert.equal(task.end.state, 'succeeded');
    assert.ok(isAlive(pid));
    await until('the job has written on without a reader', () => exists(join(folder, 'survived')));
  });

  test('still shows what it writes right after its step’s end', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy', { hooks: 'hook_pre_up() { { sleep 0.02; echo late; } & }' });
    assert.equal((await bench.run()).output('pre'), 'late\n');
    await bench.stack('sexy', { hooks: 'hook_pre_up() { sleep 0.5; { sleep 0.1; echo late; sleep 9; } & }' });
    assert.equal((await bench.run()).output('pre'), 'late\n');
  });
});

describe('a background job that writes all the time', () => {
  for (const [much, job] of [
    ['as much as it can', 'while echo tick; do :; done'],
    ['to stderr alone', 'while echo tick >&2; do :; done'],
    ['a little', 'while echo tick; do sleep 0.05; done'],
  ] as const) {
    test(`does not hold its step open: ${much}`, { timeout: 60_000 }, async (t) => {
      const bench = await Bench.create(t);
      await bench.stack('sexy', { hooks: `hook_pre_up() { { echo "pid $BASHPID"; ${job}; } & }` });
      const task = bench.start();
      await task.shows('pid');
      pids(t, task.output('pre'));
      await task.done;
      assert.equal(task.end.state, 'succeeded');
    });
  }

  test('does not hold a process open that ends with the agent', { timeout: 60_000 }, async (t) => {
    let output = '';
    const script = '{ echo "pid $BASHPID"; while echo tick; do sleep 0.05; done; } & exit 3';
    const { ended } = startProcess({
      argv: ['bash', '-c', script],
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '' },
      onOutput: (_, chunk) => void (output += Buffer.from(chunk).toString()),
    });
    await until('the job has begun', () => output.includes('tick'));
    pids(t, output);
    assert.equal((await ended).exitCode, 3);
  });
});

describe('a task that is stopped', () => {
  test('ends every process of a hook’s group, and nothing after it runs', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy', { hooks: `hook_pre_up() {\n${tree}\necho ready\nwait\n}`, action: 'echo ran' });
    const task = bench.start();
    await task.shows('ready');
    await until('all have told their number', () => numbersAfter('pid', task.output()).length === 5);
    const all = pids(t, task.output());
    task.stop.stop({ state: 'cancelled', reason: 'cancelled by ada' });
    await task.done;
    assert.deepEqual(all.filter(isAlive), []);
    assert.deepEqual(task.steps, ['hook_pre_up']);
    assert.equal(task.end.state, 'cancelled');
    assert.equal(task.end.reason, 'cancelled by ada, during hook_pre_up');
  });

  test('ends at its deadline, with what it showed, and its fail hook runs', async (t) => {
    const bench = await Bench.create(t);
    const hooks = 'hook_fail_up() { echo "$KOMPOSE_FAILED_STEP"; }\nhook_post_up() { :; }';
    await bench.stack('sexy', { hooks, action: `${tree}\necho working\nwait` });
    const task = await bench.run({ timeoutMs: 700 });
    assert.deepEqual(pids(t, task.output()).filter(isAlive), []);
    assert.match(task.output('action'), /working/);
    assert.equal(task.end.state, 'timed-out');
    assert.match(task.end.reason, /^not done after 0\.7 s \(--timeout\), during docker compose up$/);
    assert.equal(task.output('fail'), 'action\n');
    assert.deepEqual(task.steps, ['docker compose up', 'hook_fail_up']);
  });

  test('lets its processes clean up', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy', { action: "trap 'echo cleaned; exit 3' TERM; echo ready; sleep 1000 & wait" });
    const task = bench.start();
    await task.shows('ready');
    task.stop.stop({ state: 'cancelled', reason: 'x' });
    await task.done;
    assert.equal(task.output('action'), 'ready\ncleaned\n');
    assert.equal(task.end.exitCode, 3);
    assert.equal(task.end.actionDecided, false);
  });

  test('keeps its first cause', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy', { action: 'echo ready; sleep 1000' });
    const task = bench.start();
    await task.shows('ready');
    task.stop.stop({ state: 'cancelled', reason: 'first' });
    task.stop.stop({ state: 'timed-out', reason: 'second' });
    await task.done;
    assert.equal(task.end.state, 'cancelled');
    assert.match(task.end.reason, /^first/);
  });

  test('runs nothing if it was stopped before its first step', async (t) => {
    const bench = await Bench.create(t);
    await bench.stack('sexy', { hooks: 'hook_pre_up() { :; }' });
    const task = bench.start();
    task.stop.stop({ state: 'cancelled', reason: 'early' });
    await task.done;
    assert.deepEqual(task.steps, []);
    assert.equal(task.end.state, 'cancelled');
  });

  test('leaves no process on the host, in a session of its own neither', async (t) => {
    const bench = await Bench.create(t);
    const action = `setsid bash -c 'echo "pid $$"; echo ready; exec sleep 1000' & wait`;
    await bench.stack('sexy', { action });
    const task = bench.start();
    await task.shows('ready');
    const all = pids(t, task.output());
    assert.equal(all.length, 1);
    task.stop.stop({ state: 'cancelled', reason: 'x' });
    await task.done;
    assert.deepEqual(all.filter(isAlive), []);
  });

  test('leaves none either that cleared its environment, too', async (t) => {
    const bench = await Bench.create(t);
    const script = 'echo "pid $$"; echo ready; exec sleep 1000';
    await bench.stack('sexy', { action: `setsid env -i /bin/bash -c '${script}' & wait` });
    const task = bench.start();
    await task.shows('ready');
    const all = pids(t, task.output());
    task.stop.stop({ state: 'cancelled', reason: 'x' });
    await task.done;
    assert.deepEqual(all.filter(isAlive), []);
  });

  test('gives its fail hook a limit of its own', async (t) => {
    const bench = await Bench.create(t);
    const hooks = 'hook_pre_up() { sleep 1000; }\nhook_fail_up() { sleep 0.5; echo still; sleep 1000; }';
    await bench.stack('sexy', { hooks });
    const task = await bench.run({ timeoutMs: 2000 }, { failHookMs: 1000 });
    assert.equal(task.output('fail'), 'still\n');
    const fail = task.events.find((event) => event.type === 'step.finished' && event.step === 'fail');
    assert.ok(fail?.type === 'step.finished' && fail.outcome === 'timed-out' && fail.durationMs >= 1000);
    assert.equal(task.end.state, 'timed-out');
  });
});

describe('a process', () => {
  function started(
    script: string,
    onOutput: (text: string) => void | Promise<void>,
    env: Record<string, string> = {},
  ): RunningProcess {
    return startProcess({
      argv: ['bash', '-c', script],
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '', ...env },
      onOutput: (_, chunk) => onOutput(Buffer.from(chunk).toString()),
    });
  }

  test('that ignores SIGTERM is killed after its grace, with all of its group', async (t) => {
    let shown = '';
    const ready = Promise.withResolvers<void>();
    const child = 'bash -c \'trap "" TERM; echo "pid $$"; while :; do sleep 0.05; done\' &';
    const running = started(`trap '' TERM\necho "pid $$"\n${child}\nwhile :; do sleep 0.05; done`, (text) => {
      shown += text;
      if (numbersAfter('pid', shown).length === 2) ready.resolve();
    });
    await ready.promise;
    const all = pids(t, shown);
    const begun = performance.now();
    const end = await running.terminate(300);
    assert.ok(performance.now() - begun >= 295);
    assert.equal(end.exitCode, 137);
    await until('all are gone', () => !all.some(isAlive));
  });

  test('that ends at SIGTERM leaves no child that ignores it', async (t) => {
    let shown = '';
    const ready = Promise.withResolvers<void>();
    const child = 'bash -c \'trap "" TERM; echo "pid $$"; while :; do sleep 0.05; done\' &';
    const running = started(`${child}\nwait`, (text) => {
      shown += text;
      if (shown.includes('\n')) ready.resolve();
    });
    await ready.promise;
    const all = pids(t, shown);
    const end = await running.terminate(300);
    assert.equal(end.exitCode, 143);
    await until('the child is gone', () => !all.some(isAlive));
  });

  for (const [how, mostMs, end] of [
    ['by its group', 150, (running: RunningProcess) => running.terminate(3_000)],
    // Its end takes looks at all of the host.
    ['by its mark', 800, () => terminateMarked('KOMPOSE_TEST=costs', 3_000)],
  ] as const) {
    test(`costs next to nothing while it is ended ${how}, however much runs on the host`, async (t) => {
      const crowd = Promise.withResolvers<void>();
      const others = started('for n in {1..100}; do sleep 1000 & done; echo begun; wait', () =>
        crowd.resolve(),
      );
      t.after(() => others.terminate(0));
      const ready = Promise.withResolvers<void>();
      const stubborn = "trap '' TERM; echo ready; while :; do sleep 0.2; done";
      const running = started(stubborn, () => ready.resolve(), { KOMPOSE_TEST: 'costs' });
      await Promise.all([crowd.promise, ready.promise]);
      const begun = process.cpuUsage();
      await end(running);
      const { user, system } = process.cpuUsage(begun);
      assert.equal((await running.ended).exitCode, 137);
      const tookMs = (user + system) / 1000;
      assert.ok(tookMs < mostMs, `${tookMs} ms in 3 s`);
    });
  }

  test('has empty stdin, the environment that was given and nothing else', async () => {
    let shown = '';
    await started('cat; env', (text) => void (shown += text), { A: 'a=b' }).ended;
    const names = shown.split('\n').flatMap((line) => line.split('=')[0] ?? []);
    assert.deepEqual(
      names.filter((name) => !['', '_', 'SHLVL', 'PWD', 'PATH', 'OLDPWD'].includes(name)),
      ['A'],
    );
    assert.match(shown, /^A=a=b$/m);
  });

  test('shows all that it wrote, in order, however much', async () => {
    let shown = '';
    const end = await started('for n in {1..200000}; do echo $n; done', (text) => void (shown += text)).ended;
    assert.equal(end.exitCode, 0);
    assert.equal(shown, `${Array.from({ length: 200_000 }, (_, at) => at + 1).join('\n')}\n`);
  });

  test('shows all that it wrote to a reader that is slower than itself', async () => {
    let size = 0;
    const slowly = (text: string): Promise<void> => {
      size += text.length;
      return new Promise((resolve) => void setTimeout(resolve, 250));
    };
    await started('head -c 300000 /dev/zero | tr "\\0" x', slowly).ended;
    assert.equal(size, 300_000);
  });

  const bad: readonly [title: string, argv: [string, ...string[]], error: RegExp][] = [
    ['that is not there', ['no-such-program'], /^no-such-program is not on this host's PATH/],
    [
      'with an argument too long for the kernel',
      ['true', 'x'.repeat(200_000)],
      /^true could not be started: .* too long \(E2BIG\); /,
    ],
    ['with a NUL in an argument', ['true', 'a\0b'], /could not be started/],
  ];
  for (const [title, argv, error] of bad) {
    test(`${title} ends 127 and says why`, async () => {
      const env = { PATH: process.env['PATH'] ?? '' };
      const end = await startProcess({ argv, cwd: '/', env, onOutput: () => undefined }).ended;
      assert.equal(end.exitCode, 127);
      assert.match(end.error ?? '', error);
    });
  }
});

test('what is to be ended is found once there is a descriptor to look for it', async (t) => {
  const mark = `KOMPOSE_STEP_OF=D${process.pid}`;
  const env = { PATH: process.env['PATH'] ?? '', KOMPOSE_STEP_OF: `D${process.pid}` };
  let output = '';
  const { ended } = startProcess({
    argv: ['bash', '-c', `${tree} wait`],
    cwd: '/',
    env,
    onOutput: (_, chunk) => void (output += Buffer.from(chunk).toString()),
  });
  await until('all have told their numbers', () => numbersAfter('pid', output).length === 5);
  const all = pids(t, output);
  const giveBack = takeAllDescriptors();
  const terminated = terminateMarked(mark, 2000);
  // Behind its own look.
  await assert.rejects(readdir('/proc'), isScarcity);
  giveBack();
  assert.deepEqual(await terminated, []);
  assert.deepEqual(all.filter(isAlive), []);
  await ended;
});
