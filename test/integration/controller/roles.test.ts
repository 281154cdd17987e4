import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type {
  GetRunResponse,
  Host,
  HostStack,
  PlanRetryResponse,
  Role,
  Run,
  SetRoleResponse,
  TestedTarget,
} from '../../../proto/gen/kompose/v1/fleet.ts';
import { Inbox } from './inbox.ts';
import type { EventEmitter } from 'node:events';
import { succeeding } from './test-agent.ts';
import { call, refusal, TestController } from './test-controller.ts';
import type { TestUser, WatchedRun } from './test-user.ts';

function setRole(admin: TestUser, name: string, rules: string): Promise<SetRoleResponse> {
  return call((done) => admin.client.setRole({ name, rules }, admin.metadata, done));
}

function changeRole(admin: TestUser, name: string, role: string): Promise<unknown> {
  return admin.setUserRole(name, role);
}

async function all<Row>(stream: EventEmitter): Promise<Row[]> {
  const inbox = new Inbox<Row>(stream);
  await inbox.ended;
  return [...inbox.all];
}

function states({ ends }: WatchedRun): Record<string, string> {
  return Object.fromEntries(Object.entries(ends).map(([target, { state }]) => [target, state]));
}

/** A user of a role of their own, who logs in. */
async function userWith(controller: TestController, rules: string, name = 'ada'): Promise<TestUser> {
  await setRole(await controller.admin(), 'own', rules);
  return controller.userWith(await controller.login(await controller.token('own', { name })));
}

const everything = { pattern: '', filter: undefined, withServices: false };

describe('a run of somebody with a role of their own', () => {
  test('runs where it is allowed, ends denied elsewhere with the rule, and ends 5', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['proxy', 'shop']);
    const ada = await userWith(controller, 'allow * up\ndeny *:proxy *');
    const run = ada.run();
    const { taskId, stack } = await agent.asked();
    assert.equal(stack, 'shop');
    await agent.finish(taskId);
    const { exitCode, state } = await run.finished();
    assert.deepEqual({ exitCode, state }, { exitCode: 5, state: 'denied' });
    assert.deepEqual(states(run), { 'prod-1:proxy': 'denied', 'prod-1:shop': 'succeeded' });
    assert.equal(run.ends['prod-1:proxy']?.reason, 'the role own does not allow up (deny *:proxy *)');
    const denied = controller.audit('task.finished').filter(({ outcome }) => outcome === 'denied');
    assert.deepEqual(
      denied.map(({ host, reason }) => [host, reason]),
      [['prod-1', 'the role own does not allow up (deny *:proxy *)']],
    );
  });

  test('goes by the labels that the hosts have now', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['shop']);
    const ada = await userWith(controller, 'allow * up env=test');
    const denied = ada.run();
    assert.equal((await denied.finished()).exitCode, 5);
    const labels = { name: 'prod-1', labels: { env: 'test' }, remove: [] };
    await call((done) => admin.client.labelHost(labels, admin.metadata, done));
    const run = ada.run();
    await agent.finish((await agent.asked()).taskId);
    assert.equal((await run.finished()).exitCode, 0);
  });
});

describe('a role that is taken away', () => {
  test('denies tasks that wait for their turn and lets a change that is under way finish', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['news', 'shop']);
    const ada = await userWith(controller, 'allow * up');
    const run = ada.run();
    const { taskId } = await agent.asked();
    await changeRole(await controller.admin(), 'ada', 'viewer');
    await agent.finish(taskId);
    await run.finished();
    assert.deepEqual(states(run), { 'prod-1:news': 'succeeded', 'prod-1:shop': 'denied' });
    assert.equal(run.ends['prod-1:shop']?.reason, 'up needs the role operator; yours is viewer');
  });

  test('cancels a reading command that is under way', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['shop']);
    const ada = await userWith(controller, 'allow * logs');
    ada.run({ command: 'logs', args: ['-f'] });
    const { taskId } = await agent.asked();
    await setRole(await controller.admin(), 'own', 'allow * ps');
    const cancelled = await agent.cancelled();
    assert.equal(cancelled.taskId, taskId);
    assert.match(cancelled.reason, /^the role own does not allow logs/);
  });

  for (const [what, command, env, rules, reason] of [
    ['a reading command', 'logs', {}, 'allow * ps', /^the role own does not allow logs/],
    ['what its variables made of it', 'exec', { TAG: '1' }, 'allow * *\nenv !TAG', /does not allow -e TAG/],
  ] as const) {
    test(`cancels ${what}, begun before the controller was started anew`, async (t) => {
      const controller = await TestController.start(t);
      const admin = await controller.admin();
      const { agent, identity } = await controller.online('prod-1', ['shop']);
      const ada = await userWith(controller, 'allow * *');
      const { run: runId } = await ada.run({ command, args: ['-f'], env }).started();
      const { taskId } = await agent.asked();
      await controller.restart();
      const again = controller.attach(identity, { openTasks: [taskId] });
      await again.welcomed();
      const back = controller.userWith(ada.identity);
      const watch = new Inbox(back.client.watchRun({ runId, afterSeq: 0 }, back.metadata));
      await watch.next('the beginning', (event) => event);
      await setRole(controller.readmit(admin), 'own', rules);
      const cancelled = await again.cancelled();
      assert.equal(cancelled.taskId, taskId);
      assert.match(cancelled.reason, reason);
    });
  }

  test('ends the stream of a run that it showed', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['shop']);
    const ada = await userWith(controller, 'allow * ps');
    const run = admin.run();
    const { run: runId } = await run.started();
    const report = agent.report();
    const { taskId } = await agent.asked();
    await report.open(taskId);
    const watch = new Inbox(ada.client.watchRun({ runId, afterSeq: 0 }, ada.metadata));
    await watch.next('the beginning', (event) => event);
    await setRole(admin, 'own', 'allow *:other ps');
    const end = await watch.ended;
    assert.equal(end.status, 'PERMISSION_DENIED');
    assert.match(end.message, /your role, own, may not watch this/);
  });

  test('starts nothing more for a user who was removed', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['news', 'shop']);
    const ada = await userWith(controller, 'allow * up');
    const runId = (await ada.run().started()).run;
    const { taskId } = await agent.asked();
    await admin.removeUser('ada');
    await agent.finish(taskId);
    const ends = (await admin.watch(runId)).flatMap(({ event }) =>
      event.type === 'task.finished' ? [event.state] : [],
    );
    assert.deepEqual(ends.toSorted(), ['denied', 'succeeded']);
  });
});

describe('to a role of its own is shown only what it may do something with', () => {
  test('hosts, stacks and runs', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['proxy', 'shop']);
    const { agent: other } = await controller.online('prod-2', ['proxy']);
    const ada = await userWith(controller, 'allow *:shop @read\nallow * up\ndeny *:proxy *');
    const hosts = await all<Host>(ada.client.listHosts({}, ada.metadata));
    assert.deepEqual(
      hosts.map(({ name, stacks }) => [name, stacks]),
      [['prod-1', 1]],
    );
    const stacks = await all<HostStack>(ada.client.listStacks(everything, ada.metadata));
    assert.deepEqual(
      stacks.map(({ host, stack }) => `${host}:${stack}`),
      ['prod-1:shop'],
    );
    const hidden = admin.run({ pattern: 'prod-2:*' });
    other.send({ $case: 'taskRefused', value: { ...(await other.asked()), reason: 'full', denied: false } });
    const { run: hiddenId } = await hidden.started();
    await hidden.finished();
    const mixed = admin.run({ pattern: 'prod-1:*' });
    for (const lines of ['of the proxy', 'of the shop']) {
      const { taskId } = await agent.asked();
      await agent.finish(taskId, succeeding(lines));
    }
    const { run: mixedId } = await mixed.started();
    await mixed.finished();
    const runs = await all<Run>(ada.client.listRuns({ limit: 0 }, ada.metadata));
    assert.deepEqual(
      runs.map(({ id }) => id),
      [mixedId],
    );
    const shown = await call<GetRunResponse>((done) =>
      ada.client.getRun({ runId: mixedId }, ada.metadata, done),
    );
    assert.deepEqual(
      shown.tasks.map(({ stack }) => stack),
      ['shop'],
    );
    const events = await ada.watch(mixedId);
    const started = events[0]?.event;
    assert.ok(started?.type === 'run.started');
    assert.deepEqual(
      started.targets.map(({ stack }) => stack),
      ['shop'],
    );
    const seen = events.flatMap(({ task, event }) =>
      event.type === 'output' ? [[task, Buffer.from(event.data).toString()]] : [],
    );
    assert.deepEqual(seen, [[1, 'of the shop']]);
    const none = await refusal(call((done) => ada.client.getRun({ runId: hiddenId }, ada.metadata, done)));
    assert.equal(none.status, 'NOT_FOUND');
    const again = ada.run({ retryOf: hiddenId });
    assert.equal((await again.inbox.ended).status, 'NOT_FOUND');
    assert.deepEqual(again.inbox.all, []);
  });

  test('and repeats no more than that', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['proxy', 'shop']);
    const ada = await userWith(controller, 'allow *:shop @read\nallow * up\ndeny *:proxy *');
    const broken = (await controller.admin()).run();
    for (let count = 0; count < 2; count++) {
      const { taskId } = await agent.asked();
      agent.send({ $case: 'taskRefused', value: { taskId, reason: 'full', denied: false } });
    }
    const { run: runId } = await broken.started();
    await broken.finished();
    const plan = await call<PlanRetryResponse>((done) => ada.client.planRetry({ runId }, ada.metadata, done));
    const proposal = await ada
      .run({ retryOf: runId })
      .inbox.next('a proposal', ({ kind }) => (kind?.$case === 'proposal' ? kind.value : undefined));
    for (const { targets } of [plan, proposal])
      assert.deepEqual(
        targets.map(({ stack }) => stack),
        ['shop'],
      );
  });
});

describe('roles', () => {
  test('are tested without anything being started', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    await controller.online('prod-1', ['proxy', 'shop']);
    const ada = await userWith(controller, 'allow * up\ndeny *:proxy *');
    const request = { user: 'ada', role: '', pattern: '*', command: 'up', args: ['-d'], envNames: [] };
    const ask = (by: TestUser, change: object = {}): Promise<TestedTarget[]> =>
      all(by.client.testRole({ ...request, filter: undefined, ...change }, by.metadata));
    const expected = [
      ['prod-1', 'proxy', false, 'deny *:proxy *'],
      ['prod-1', 'shop', true, 'allow * up'],
    ];
    for (const by of [admin, ada]) {
      const tested = await ask(by);
      assert.deepEqual(
        tested.map(({ host, stack, allowed, rule }) => [host, stack, allowed, rule]),
        expected,
      );
    }
    assert.deepEqual(
      (await ask(admin, { user: '', role: 'viewer', command: 'ps', pattern: 'shop' })).map(
        ({ rule }) => rule,
      ),
      ['allow * @read'],
    );
    const [smuggled] = await ask(admin, { pattern: 'shop', envNames: ['PATH'] });
    assert.equal(smuggled?.reason, 'the role own does not allow -e PATH (no rule does)');
    assert.equal(controller.audit('run.started').length, 0);
    const foreign = new Inbox(
      ada.client.testRole({ ...request, filter: undefined, user: 'admin' }, ada.metadata),
    );
    assert.equal((await foreign.ended).status, 'PERMISSION_DENIED');
  });

  test('outlive a restart', async (t) => {
    const controller = await TestController.start(t);
    await setRole(await controller.admin(), 'own', 'allow * ps');
    const before = await controller.admin();
    await controller.restart();
    const admin = controller.readmit(before);
    const listed = await all<Role>(admin.client.listRoles({}, admin.metadata));
    assert.deepEqual(
      listed.map(({ name, builtIn, rules }) => [name, builtIn, rules]),
      [
        ['admin', true, 'allow * *\nenv *'],
        ['operator', true, 'allow * @read,@change'],
        ['viewer', true, 'allow * @read'],
        ['own', false, 'allow * ps'],
      ],
    );
  });

  test('that are built in stay as they are, and those that somebody has stay', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    await userWith(controller, 'allow * ps');
    const remove = (name: string): Promise<unknown> =>
      call((done) => admin.client.removeRole({ name }, admin.metadata, done));
    assert.equal((await refusal(setRole(admin, 'viewer', 'allow * *'))).status, 'ALREADY_EXISTS');
    assert.equal((await refusal(remove('admin'))).status, 'ALREADY_EXISTS');
    assert.match((await refusal(remove('own'))).message, /ada has the role own/);
    assert.equal((await refusal(remove('none'))).status, 'NOT_FOUND');
    assert.equal((await refusal(setRole(admin, 'agent', 'allow * ps'))).status, 'INVALID_ARGUMENT');
    await changeRole(admin, 'ada', 'viewer');
    await remove('own');
    assert.equal((await refusal(controller.token('own'))).status, 'INVALID_ARGUMENT');
  });

  test('are changed by admins only, never leave the fleet without one, and each change is audited', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const ada = await userWith(controller, 'allow * *\nenv *');
    assert.equal((await refusal(setRole(ada, 'own', 'allow * ps'))).status, 'PERMISSION_DENIED');
    assert.equal((await refusal(changeRole(ada, 'ada', 'admin'))).status, 'PERMISSION_DENIED');
    const last = await refusal(changeRole(admin, 'admin', 'viewer'));
    assert.match(last.message, /admin is the last admin and stays one/);
    await changeRole(admin, 'ada', 'admin');
    await changeRole(ada, 'admin', 'viewer');
    assert.equal((await refusal(setRole(admin, 'own', 'allow * ps'))).status, 'PERMISSION_DENIED');
    const types = controller.audit().map(({ type }) => type);
    const changes = types.filter((type) => /^(role|user)\.changed$|denied/.test(type));
    assert.deepEqual(changes, [
      'role.changed',
      'request.denied',
      'request.denied',
      'user.changed',
      'user.changed',
      'request.denied',
    ]);
  });
});
