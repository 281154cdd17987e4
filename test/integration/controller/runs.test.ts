import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { keyFingerprint } from '../../../common/audit/signed-head.ts';
import { began, output, readTask, succeeded, succeeding } from './test-agent.ts';
import { call, refusal, TestController } from './test-controller.ts';
import type { WatchedRun } from './test-user.ts';

function outcomes({ ends }: WatchedRun): Record<string, string> {
  return Object.fromEntries(Object.entries(ends).map(([target, { state }]) => [target, state]));
}

describe('before an agent hears of a run', () => {
  test('the run and its audit record are in the database', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const admin = await controller.admin();
    const seen = Promise.withResolvers<{ runs: unknown[]; tasks: unknown[]; audit: unknown[] }>();
    agent.stream.on('data', ({ kind }) => {
      if (kind?.$case !== 'startTask') return;
      const { runId, taskId } = readTask(kind.value);
      seen.resolve({
        runs: controller.rows('select id, command, user, state from runs where id = ?', runId),
        tasks: controller.rows('select id, host, stack, state from tasks where id = ?', taskId),
        audit: controller
          .audit('run.started')
          .map(({ run, actor, key, targets }) => ({ run, actor: actor.name, key, targets })),
      });
    });
    const run = admin.run();
    const { taskId, runId, key } = await agent.asked();
    assert.deepEqual(await seen.promise, {
      runs: [
        Object.assign(Object.create(null), { id: runId, command: 'up', user: 'admin', state: 'running' }),
      ],
      tasks: [
        Object.assign(Object.create(null), { id: taskId, host: 'prod-1', stack: 'sexy', state: 'queued' }),
      ],
      audit: [{ run: runId, actor: 'admin', key: keyFingerprint(key), targets: ['prod-1:sexy'] }],
    });
    assert.equal(key, admin.key.publicKey);
    await agent.finish(taskId);
    await run.finished();
    const audited = controller.audit().map(({ type, outcome }) => [type, outcome ?? '']);
    assert.deepEqual(audited.slice(-4), [
      ['run.started', ''],
      ['action.finished', 'succeeded'],
      ['task.finished', 'succeeded'],
      ['run.finished', 'succeeded'],
    ]);
  });

  for (const table of ['audit', 'runs', 'tasks']) {
    test(`the run is refused if ${table} cannot be written`, async (t) => {
      const controller = await TestController.start(t);
      const { agent } = await controller.online('prod-1', ['sexy']);
      const admin = await controller.admin();
      const before = controller.audit().length;
      controller.execute(
        `create trigger full before insert on ${table} begin select raise(abort, 'database or disk is full'); end`,
      );
      const { status, code, message } = await admin.run().inbox.ended;
      assert.deepEqual({ status, code }, { status: 'UNAVAILABLE', code: 'unavailable' });
      assert.match(message, /cannot record this: .*disk is full/);
      await agent.heartbeat();
      assert.ok(!agent.heard.includes('startTask'));
      for (const each of ['runs', 'tasks']) assert.deepEqual(controller.rows(`select * from ${each}`), []);
      assert.equal(controller.audit().length, before);
      controller.execute('drop trigger full');
      const run = admin.run();
      await agent.finish((await agent.asked()).taskId);
      assert.equal((await run.finished()).exitCode, 0);
    });
  }
});

describe('a run', () => {
  test('hands its words to the agent byte for byte', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const args = ['', ' ', '$(id)', "'", '"', '\\', 'a\nb', '*', '--', '日本', '-d'];
    const env = { A: '', B: 'x=y\n z' };
    (await controller.admin()).run({ args, env, network: 'net', timeoutMs: 1500 });
    const order = await agent.asked();
    assert.deepEqual(order.args, args);
    assert.deepEqual({ ...order.env }, env);
    assert.equal(order.network, 'net');
    assert.equal(order.timeoutMs, 1500);
    await agent.finish(order.taskId);
  });

  test('without a host is refused and says what to do', async (t) => {
    const controller = await TestController.start(t);
    const { status, code, message } = await (await controller.admin()).run().inbox.ended;
    assert.deepEqual({ status, code }, { status: 'NOT_FOUND', code: 'not-found' });
    assert.match(message, /no host has joined yet/);
    assert.deepEqual(controller.rows('select * from runs'), []);
  });

  test('of an unknown stack has the hosts look again before it is refused', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const { inbox } = (await controller.admin()).run({ pattern: 'sxey' });
    const requestId = await agent.inbox.next('a rescan', ({ kind }) =>
      kind?.$case === 'rescan' ? kind.value.requestId : undefined,
    );
    await agent.tellStacks(['sexy'], requestId);
    const { status, message } = await inbox.ended;
    assert.equal(status, 'NOT_FOUND');
    assert.match(message, /did you mean sexy\?/);
  });

  test('of a stack that has just appeared finds it', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const run = (await controller.admin()).run({ pattern: 'fresh' });
    const requestId = await agent.inbox.next('a rescan', ({ kind }) =>
      kind?.$case === 'rescan' ? kind.value.requestId : undefined,
    );
    agent.send({
      $case: 'inventory',
      value: {
        requestId,
        stacks: [{ name: 'fresh', composeFile: '', hooks: [], hasEnvFile: false, dumps: 0, services: [] }],
      },
    });
    await agent.finish((await agent.asked()).taskId);
    assert.deepEqual([(await run.finished()).exitCode, outcomes(run)], [0, { 'prod-1:fresh': 'succeeded' }]);
  });

  const bad: readonly [
    title: string,
    change: Parameters<Awaited<ReturnType<TestController['admin']>>['run']>[0],
  ][] = [
    ['a command that is an option', { command: '--file=/etc/passwd' }],
    ['an empty command', { command: '' }],
    ['a bad pattern', { pattern: '{' }],
    ['an empty pattern', { pattern: '' }],
    ['a variable without a proper name', { env: { 'A B': 'x' } }],
    ['a NUL in a variable', { env: { A: 'a\0b' } }],
    ['a NUL in an argument', { args: ['a\0b'] }],
    ['a NUL in the network', { network: 'a\0b' }],
    ['up without -d on two targets', { args: [] }],
  ];
  for (const [title, change] of bad) {
    test(`is refused with ${title}, and nothing starts`, async (t) => {
      const controller = await TestController.start(t);
      const { agent } = await controller.online('prod-1', ['news', 'sexy']);
      const run = (await controller.admin()).run(change);
      const { status, code } = await run.inbox.ended;
      assert.deepEqual({ status, code }, { status: 'INVALID_ARGUMENT', code: 'usage' });
      await agent.heartbeat();
      assert.ok(!agent.heard.includes('startTask'));
      assert.deepEqual(controller.rows('select * from runs'), []);
    });
  }

  test('asks all hosts at once, and each for one stack after the other', async (t) => {
    const controller = await TestController.start(t);
    const one = await controller.online('prod-1', ['news', 'sexy']);
    const two = await controller.online('prod-2', ['sexy']);
    const run = (await controller.admin()).run();
    const [first, other] = [await one.agent.asked(), await two.agent.asked()];
    assert.equal(first.stack, 'news');
    await one.agent.heartbeat();
    assert.equal(one.agent.heard.filter((name) => name === 'startTask').length, 1);
    await one.agent.finish(first.taskId);
    const second = await one.agent.asked();
    assert.equal(second.stack, 'sexy');
    for (const [agent, { taskId }] of [
      [one.agent, second],
      [two.agent, other],
    ] as const)
      await agent.finish(taskId);
    assert.deepEqual((await run.finished()).counts, { succeeded: 3 });
  });

  test('that reads asks for all stacks of a host at once', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['news', 'sexy']);
    const run = (await controller.admin()).run({ command: 'ps', args: [] });
    const asked = [await agent.asked(), await agent.asked()];
    for (const { taskId } of asked) await agent.finish(taskId);
    assert.equal((await run.finished()).exitCode, 0);
  });

  test('whose tasks end all at once ends once', async (t) => {
    const controller = await TestController.start(t);
    const stacks = Array.from({ length: 20 }, (_, at) => `stack-${at}`);
    const { agent } = await controller.online('prod-1', stacks);
    const run = (await controller.admin()).run({ command: 'ps', args: [] });
    const tasks = [];
    for (const _ of stacks) tasks.push((await agent.asked()).taskId);
    await Promise.all(tasks.map((task) => agent.finish(task)));
    await run.finished();
    assert.equal(controller.audit('task.finished').length, stacks.length);
    assert.equal(controller.audit('run.finished').length, 1);
  });

  test('reports a host that is away as unreachable, and runs on the others', async (t) => {
    const controller = await TestController.start(t);
    const away = await controller.online('prod-1', ['sexy']);
    away.agent.stream.end();
    await away.agent.inbox.ended;
    const { agent } = await controller.online('prod-2', ['sexy']);
    const run = (await controller.admin()).run();
    await agent.finish((await agent.asked()).taskId);
    assert.equal((await run.finished()).exitCode, 4);
    assert.deepEqual(outcomes(run), { 'prod-1:sexy': 'unreachable', 'prod-2:sexy': 'succeeded' });
    assert.match(
      run.ends['prod-1:sexy']?.reason ?? '',
      /^host prod-1 is offline \(last seen 20.*was not started$/,
    );
  });

  test('gives a task up when its host stays away', async (t) => {
    const controller = await TestController.start(t, { lostAfterMs: 100 });
    const { agent } = await controller.online('prod-1', ['sexy']);
    const run = (await controller.admin()).run();
    await agent.asked();
    agent.stream.cancel();
    assert.equal((await run.finished()).exitCode, 4);
    assert.deepEqual(outcomes(run), { 'prod-1:sexy': 'lost' });
  });

  test('goes on when its host was away for a moment', async (t) => {
    const controller = await TestController.start(t);
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const run = (await controller.admin()).run();
    const { taskId } = await agent.asked();
    agent.stream.cancel();
    await agent.inbox.ended;
    const back = controller.attach(identity, { openTasks: [taskId] });
    await back.welcomed();
    await back.finish(taskId);
    assert.equal((await run.finished()).exitCode, 0);
  });

  test('asks again for a task that its host never heard of', async (t) => {
    const controller = await TestController.start(t);
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const run = (await controller.admin()).run();
    const { taskId } = await agent.asked();
    agent.stream.cancel();
    await agent.inbox.ended;
    const back = controller.attach(identity);
    assert.equal((await back.asked()).taskId, taskId);
    await back.finish(taskId);
    assert.equal((await run.finished()).exitCode, 0);
  });

  test('tells a host that it need not go on with a task of an ended run', async (t) => {
    const gone = '01J00000000000000000000000';
    const controller = await TestController.start(t);
    const agent = controller.attach(await controller.host('prod-1'), { openTasks: [gone] });
    assert.equal((await agent.cancelled()).taskId, gone);
  });

  test('opens the next group of hosts when the last one was lost', async (t) => {
    const controller = await TestController.start(t, { lostAfterMs: 100 });
    const lost = await controller.online('prod-1', ['sexy']);
    const { agent } = await controller.online('prod-2', ['sexy']);
    const batch = { count: 1, isPercent: false };
    const rollout = { parallel: 0, batch, batchWaitMs: 0, maxFailures: undefined };
    const run = (await controller.admin()).run({ rollout });
    await lost.agent.asked();
    lost.agent.stream.cancel();
    await agent.finish((await agent.asked()).taskId);
    assert.equal((await run.finished()).exitCode, 4);
    assert.deepEqual(outcomes(run), { 'prod-1:sexy': 'lost', 'prod-2:sexy': 'succeeded' });
  });
});

describe('a run that is not allowed', () => {
  test('ends denied on every target, and that is audited', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['news', 'sexy']);
    const viewer = await controller.user('viewer');
    const run = viewer.run();
    const { exitCode, state, counts } = await run.finished();
    assert.deepEqual({ exitCode, state, counts }, { exitCode: 5, state: 'denied', counts: { denied: 2 } });
    assert.equal(run.ends['prod-1:news']?.reason, 'up needs the role operator; yours is viewer');
    await agent.heartbeat();
    assert.ok(!agent.heard.includes('startTask'));
    const denied = controller.audit('task.finished').filter(({ outcome }) => outcome === 'denied');
    assert.equal(denied.length, 2);
    assert.equal(denied[0]?.actor.role, 'viewer');
    assert.deepEqual(controller.rows('select distinct state from tasks')[0]?.['state'], 'denied');
  });

  for (const [role, change] of [
    ['operator', { command: 'exec', args: ['web', 'sh'] }],
    ['operator', { env: { LD_PRELOAD: '/tmp/x.so' } }],
    ['viewer', { command: 'config', args: ['-o', '/etc/cron.d/x'] }],
    ['viewer', { command: 'ps', args: [], env: { DOCKER_HOST: 'tcp://elsewhere' } }],
  ] as const) {
    test(`is not: ${role} ${JSON.stringify(change)}`, async (t) => {
      const controller = await TestController.start(t);
      const { agent } = await controller.online('prod-1', ['sexy']);
      const user = await controller.user(role);
      const run = user.run(JSON.parse(JSON.stringify(change)));
      assert.equal((await run.finished()).exitCode, 5);
      await agent.heartbeat();
      assert.ok(!agent.heard.includes('startTask'));
    });
  }

  test('is not hidden from those who may read', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const viewer = await controller.user('viewer');
    const run = viewer.run({ command: 'ps', args: [] });
    await agent.finish((await agent.asked()).taskId);
    assert.equal((await run.finished()).exitCode, 0);
  });
});

describe('when nobody watches', () => {
  test('a run that reads is cancelled', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const run = (await controller.admin()).run({ command: 'logs', args: ['-f'] });
    const { taskId } = await agent.asked();
    const report = agent.report();
    await report.open(taskId);
    await report.send(1, [...began, output('a')]);
    run.stream.cancel();
    const cancel = await agent.cancelled();
    assert.equal(cancel.taskId, taskId);
    assert.equal(cancel.reason, 'nobody watches any more');
    report.stream.cancel();
  });

  test('a run that reads goes on for somebody who comes in time', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const admin = await controller.admin();
    const run = admin.run({ command: 'logs', args: ['-f'] });
    const { run: id } = await run.started();
    const { taskId } = await agent.asked();
    run.stream.cancel();
    await run.inbox.ended;
    const watched = admin.watch(id);
    await agent.finish(taskId, succeeding('late'));
    const events = await watched;
    assert.deepEqual(events.at(-1)?.event.type, 'run.finished');
    assert.ok(!agent.heard.includes('cancelTask'));
  });

  test('a run that changes something goes on', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const admin = await controller.admin();
    const run = admin.run();
    const { run: id } = await run.started();
    const { taskId } = await agent.asked();
    run.stream.cancel();
    await run.inbox.ended;
    const report = agent.report();
    await report.open(taskId);
    await report.send(1, [...began, output('unseen')]);
    report.write(4, succeeded);
    const events = await admin.watch(id);
    assert.deepEqual(
      events.map(({ seq }) => seq),
      events.map((_, at) => at + 1),
    );
    assert.equal(events.at(-1)?.event.type, 'run.finished');
    assert.deepEqual(await admin.watch(id, events.length), []);
    assert.deepEqual(await admin.watch(id, 3), events.slice(3));
  });
});

describe('a cancel', () => {
  test('reaches the running task, ends the waiting ones, and is audited', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['news', 'sexy']);
    const run = (await controller.admin()).run();
    const { taskId } = await agent.asked();
    await run.started();
    run.cancel();
    const { taskId: cancelled, reason } = await agent.cancelled();
    assert.deepEqual({ cancelled, reason }, { cancelled: taskId, reason: 'cancelled by admin' });
    const end = {
      type: 'task.finished',
      state: 'cancelled',
      reason,
      durationMs: 1,
      actionDecided: false,
    } as const;
    await agent.finish(taskId, [...began, end]);
    assert.equal((await run.finished()).exitCode, 130);
    assert.deepEqual(outcomes(run), { 'prod-1:news': 'cancelled', 'prod-1:sexy': 'cancelled' });
    assert.equal(agent.heard.filter((name) => name === 'startTask').length, 1);
    assert.equal(controller.audit('run.cancelled')[0]?.reason, 'cancelled by admin');
  });

  test('of somebody else’s run needs an admin', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const [admin, operator, other] = [
      await controller.admin(),
      await controller.user('operator'),
      await controller.user('operator'),
    ];
    const run = operator.run();
    const { run: runId } = await run.started();
    const { taskId } = await agent.asked();
    const cancel = ({ client, metadata }: typeof admin): Promise<unknown> =>
      call((done) => client.cancelRun({ runId }, metadata, done));
    const { status } = await refusal(cancel(other));
    assert.equal(status, 'PERMISSION_DENIED');
    assert.equal(controller.audit('request.denied').length, 1);
    assert.ok(!agent.heard.includes('cancelTask'));
    assert.deepEqual(await cancel(admin), { cancelled: true });
    assert.equal((await agent.cancelled()).taskId, taskId);
  });
});

test('a secret of -e, or of an argument, is nowhere but in the agent’s order', async (t) => {
  const controller = await TestController.start(t);
  const { agent } = await controller.online('prod-1', ['sexy']);
  const args = ['-e', 'PGPASSWORD=swordfish-1', 'web', 'echo', 'swordfish-2'];
  const run = (await controller.admin()).run({ args: [...args, '-d'], env: { API_TOKEN: 'swordfish-2' } });
  const order = await agent.asked();
  assert.deepEqual({ ...order.env }, { API_TOKEN: 'swordfish-2' });
  assert.deepEqual(order.args, [...args, '-d']);
  await agent.finish(order.taskId);
  await run.finished();
  const runsFolder = join(controller.folder, 'runs');
  const logs = await Promise.all(
    (await readdir(runsFolder)).map((file) => readFile(join(runsFolder, file), 'latin1')),
  );
  const tables = ['runs', 'tasks', 'steps', 'audit', 'hosts'].map((table) =>
    controller.rows(`select * from ${table}`),
  );
  assert.doesNotMatch(JSON.stringify([logs, tables, run.events]), /swordfish/);
  assert.match(JSON.stringify(controller.audit('run.started')), /"envNames":\["API_TOKEN"\]/);
});
