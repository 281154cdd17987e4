import assert from 'node:assert/strict';
import { readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RunEvent } from '../../../common/task-event.ts';
import { Rollout, type RunRequest } from '../../../proto/gen/kompose/v1/fleet.ts';
import { began, newSealingKey, succeeded, type TestAgent } from './test-agent.ts';
import { TestController } from './test-controller.ts';
import type { TestUser } from './test-user.ts';

const secret = 'hunter2-and-more';

/** How each task ended, by the place of its target. */
function states(events: readonly RunEvent[]): string[] {
  const ends = events.flatMap(({ task, event }) =>
    event.type === 'task.finished' ? [`${task} ${event.state}`] : [],
  );
  return ends.toSorted();
}

function reasons(events: readonly RunEvent[]): string[] {
  return events.flatMap(({ event }) => (event.type === 'task.finished' ? [event.reason] : []));
}

/** Resolves when the run's log says that a host is waited for. */
async function waitingFor(user: TestUser, change: Partial<RunRequest>): Promise<string> {
  const run = user.run(change);
  const { run: id } = await run.started();
  await run.inbox.next('a task that waits', ({ kind }) => (kind?.$case === 'taskEvent' ? true : undefined));
  return id;
}

/** All bytes of a folder's files. */
function bytesIn(folder: string): Buffer {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
  return Buffer.concat(files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file)));
}

function away(agent: TestAgent): Promise<unknown> {
  agent.stream.cancel();
  return agent.inbox.ended.catch(() => undefined);
}

const waits: Partial<RunRequest> = { offline: { kind: { $case: 'waitMs', value: 60_000 } } };

describe('a controller that was killed', () => {
  test('starts a task whose host was waited for, with the values that only the host can open', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const key = await newSealingKey();
    const hello = { sealingKey: key.publicKey };
    const { agent, identity } = await controller.online('prod-1', ['sexy'], hello);
    await away(agent);
    const id = await waitingFor(admin, { ...waits, env: { DB_PASSWORD: secret, TAG: 'v2' } });
    assert.ok(!bytesIn(controller.folder).includes(secret));
    await controller.kill();
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity, hello);
    await back.welcomed();
    const asked = await back.asked(key);
    assert.deepEqual({ ...asked.env }, { DB_PASSWORD: secret, TAG: 'v2' });
    assert.equal(controller.rows('select count(sealed) as kept from tasks')[0]?.['kept'], 1);
    await back.finish(asked.taskId);
    assert.deepEqual(states(await watched), ['1 succeeded']);
    assert.equal(controller.rows('select count(sealed) as kept from tasks')[0]?.['kept'], 0);
    assert.ok(!bytesIn(controller.folder).includes(secret));
  });

  test('keeps an argument that holds a secret for its host alone', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const key = await newSealingKey();
    const hello = { sealingKey: key.publicKey };
    const { agent, identity } = await controller.online('prod-1', ['sexy'], hello);
    await away(agent);
    const args = ['-d', `--password=${secret}`];
    await waitingFor(admin, { ...waits, args, env: { DB_PASSWORD: secret } });
    assert.ok(!bytesIn(controller.folder).includes(secret));
    await controller.kill();
    const back = controller.attach(identity, hello);
    await back.welcomed();
    assert.deepEqual((await back.asked(key)).args, args);
  });

  test('ends what waits with a secret and a host that has told no key', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    await away(agent);
    const id = await waitingFor(admin, { ...waits, env: { DB_PASSWORD: secret } });
    await controller.kill();
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity);
    await back.welcomed();
    const events = await watched;
    assert.deepEqual(states(events), ['1 cancelled']);
    assert.match(reasons(events).join(), /restarted before this task was started.*no key/);
    assert.ok(!back.heard.includes('startTask'));
  });

  test('waits for a host only as long as is left', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['sexy']);
    await away(agent);
    const id = await waitingFor(admin, { offline: { kind: { $case: 'waitMs', value: 400 } } });
    await controller.kill();
    const events = await controller.readmit(admin).watch(id);
    assert.deepEqual(states(events), ['1 unreachable']);
    assert.equal(events.filter(({ event }) => event.type === 'task.queued').length, 1);
  });

  test('keeps the order of a host’s tasks', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['news', 'sexy']);
    const { run: id } = await admin.run().started();
    const { taskId, stack } = await agent.asked();
    assert.equal(stack, 'news');
    const report = agent.report();
    await report.open(taskId);
    await report.send(1, began);
    await controller.kill();
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity, { openTasks: [taskId] });
    await back.welcomed();
    await back.heartbeat();
    assert.ok(!back.heard.includes('startTask'));
    const again = back.report();
    await again.open(taskId);
    again.write(3, succeeded);
    const next = await back.asked();
    assert.equal(next.stack, 'sexy');
    await back.finish(next.taskId);
    assert.deepEqual(states(await watched), ['1 succeeded', '2 succeeded']);
  });

  test('asks again for a task of which its agent has not heard', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const { run: id } = await admin.run().started();
    const { taskId } = await agent.asked();
    await controller.kill();
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity);
    await back.welcomed();
    assert.equal((await back.asked()).taskId, taskId);
    await back.finish(taskId);
    assert.deepEqual(states(await watched), ['1 succeeded']);
  });

  test('goes on with a run that was recorded and not begun', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { identity } = await controller.online('prod-1', ['sexy']);
    const { run: id } = await admin.run().started();
    await controller.kill((folder) => rmSync(join(folder, 'runs', `${id}.events`)));
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity);
    await back.welcomed();
    await back.finish((await back.asked()).taskId);
    const events = await watched;
    assert.equal(events[0]?.event.type, 'run.started');
    assert.deepEqual(states(events), ['1 succeeded']);
  });

  test('never has more tasks under way than --parallel says', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const one = await controller.online('prod-1', ['sexy']);
    const two = await controller.online('prod-2', ['sexy']);
    const rollout = { ...Rollout.decode(Buffer.alloc(0)), parallel: 1 };
    const { run: id } = await admin.run({ rollout }).started();
    const { taskId } = await one.agent.asked();
    await controller.kill();
    const watched = controller.readmit(admin).watch(id);
    const second = controller.attach(two.identity);
    await second.welcomed();
    await second.heartbeat();
    assert.ok(!second.heard.includes('startTask'), 'prod-1 may have its task under way');
    const first = controller.attach(one.identity, { openTasks: [taskId] });
    await first.welcomed();
    await second.heartbeat();
    assert.ok(!second.heard.includes('startTask'), 'prod-1 has its task under way');
    await first.finish(taskId);
    await second.finish((await second.asked()).taskId);
    assert.deepEqual(states(await watched), ['1 succeeded', '2 succeeded']);
  });

  test('goes through the groups of --batch, and counts for --max-failures what failed before', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const one = await controller.online('prod-1', ['sexy']);
    const two = await controller.online('prod-2', ['sexy']);
    const share = { count: 1, isPercent: false };
    const rollout = {
      ...Rollout.decode(Buffer.alloc(0)),
      batch: share,
      maxFailures: { count: 0, isPercent: false },
    };
    const { run: id } = await admin.run({ rollout }).started();
    const { taskId } = await one.agent.asked();
    await controller.kill();
    const watched = controller.readmit(admin).watch(id);
    const second = controller.attach(two.identity);
    await second.welcomed();
    const first = controller.attach(one.identity, { openTasks: [taskId] });
    await first.welcomed();
    await second.heartbeat();
    assert.ok(!second.heard.includes('startTask'));
    const failed = { type: 'task.finished', state: 'failed', exitCode: 1, reason: 'broken' } as const;
    await first.finish(taskId, [...began, { ...failed, durationMs: 1, actionDecided: true }]);
    assert.deepEqual(states(await watched), ['1 failed', '2 cancelled']);
    assert.ok(!second.heard.includes('startTask'));
  });

  test('starts nothing of a run that was cancelled', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['news', 'sexy']);
    const run = admin.run();
    const { run: id } = await run.started();
    const { taskId } = await agent.asked();
    run.cancel();
    await agent.cancelled();
    await controller.kill((folder) => {
      // Of its log, all is lost that came after the record of the cancel.
      rmSync(join(folder, 'runs', `${id}.events`));
    });
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity, { openTasks: [taskId] });
    await back.welcomed();
    assert.equal((await back.cancelled()).taskId, taskId);
    const end = { type: 'task.finished', state: 'cancelled', reason: 'told', durationMs: 1 } as const;
    await back.finish(taskId, [...began, { ...end, actionDecided: false }]);
    const events = await watched;
    assert.ok(!back.heard.includes('startTask'));
    assert.deepEqual(states(events), ['1 cancelled', '2 cancelled']);
    const first = events.find(({ task, event }) => task === 1 && event.type === 'task.finished');
    assert.equal(first?.event.type === 'task.finished' && first.event.reason, 'told');
  });

  test('starts nothing for a user who may not any more', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    await away(agent);
    const id = await waitingFor(admin, { ...waits });
    await controller.kill((folder) => rmSync(join(folder, 'runs', `${id}.events`)));
    controller.readmit(admin);
    await controller.kill();
    assert.equal(controller.rows('select state from tasks')[0]?.['state'], 'queued');
    controller.execute("update users set role = 'viewer'");
    await controller.kill();
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity);
    await back.welcomed();
    await watched;
    assert.ok(!back.heard.includes('startTask'));
    assert.equal(controller.rows('select state from tasks')[0]?.['state'], 'denied');
  });

  for (const [what, becomes] of [
    ['has it', 'succeeded'],
    ['does not have it', 'denied'],
    ['does not come back', 'lost'],
  ] as const) {
    test(`and whose user may not any more: a task that its host was asked for ends ${becomes} if that ${what}`, async (t) => {
      const lostAfterMs = becomes === 'lost' ? 100 : 60_000;
      const controller = await TestController.start(t, { lostAfterMs });
      const admin = await controller.admin();
      const { agent, identity } = await controller.online('prod-1', ['news', 'sexy']);
      const { run: id } = await admin.run().started();
      const { taskId } = await agent.asked();
      controller.execute("update users set role = 'viewer'");
      await controller.kill();
      const watched = controller.readmit(admin).watch(id);
      if (becomes !== 'lost') {
        const openTasks = becomes === 'succeeded' ? [taskId] : [];
        const back = controller.attach(identity, { openTasks });
        await back.welcomed();
        if (becomes === 'succeeded') await back.finish(taskId);
        await watched;
        assert.ok(!back.heard.includes('startTask') && !back.heard.includes('cancelTask'));
      }
      assert.deepEqual(states(await watched), [`1 ${becomes}`, '2 denied']);
    });
  }

  test('cannot go on with a run whose standard input went with it', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    await away(agent);
    const args = ['-T', 'db', 'psql'];
    const id = await waitingFor(admin, { ...waits, command: 'exec', args, hasStdin: true });
    await controller.kill();
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity);
    await back.welcomed();
    const events = await watched;
    assert.deepEqual(states(events), ['1 cancelled']);
    assert.match(reasons(events).join(), /standard input/);
  });
});
