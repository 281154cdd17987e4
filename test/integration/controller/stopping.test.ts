import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { began, succeeded } from './test-agent.ts';
import { TestController } from './test-controller.ts';

describe('a controller that is stopped', () => {
  test('tells its agents when to come back, each its own moment, and starts no run meanwhile', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['sexy'], { stays: true });
    const stopped = controller.stop();
    const { returnAfterMs } = await agent.inbox.next('a farewell', ({ kind }) =>
      kind?.$case === 'farewell' ? kind.value : undefined,
    );
    assert.ok(returnAfterMs >= 500 && returnAfterMs <= 15_500, String(returnAfterMs));
    const run = admin.run();
    const { code, message } = await run.inbox.ended;
    assert.deepEqual([code, run.events], ['controller-unreachable', []]);
    assert.match(message, /is stopping and starts no run any more/);
    await stopped;
    assert.ok(!agent.heard.includes('startTask'));
  });

  test('ends at once when its agents have gone, holds nothing against them, and goes on where it stood', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const one = await controller.online('prod-1', ['sexy']);
    const two = await controller.online('prod-2', ['sexy']);
    const rollout = { parallel: 1, batch: undefined, batchWaitMs: 0, maxFailures: undefined };
    const { run: id } = await admin.run({ rollout }).started();
    const { taskId } = await one.agent.asked();
    const report = one.agent.report();
    await report.open(taskId);
    await report.send(1, began);
    await controller.restart();
    const watched = controller.readmit(admin).watch(id);
    const first = controller.attach(one.identity, { openTasks: [taskId] });
    await first.welcomed();
    const second = controller.attach(two.identity);
    await second.welcomed();
    const again = first.report();
    await again.open(taskId);
    again.write(3, succeeded);
    await second.finish((await second.asked()).taskId);
    const ends = (await watched).flatMap(({ event }) =>
      event.type === 'task.finished' ? [event.state] : [],
    );
    assert.deepEqual(ends, ['succeeded', 'succeeded']);
  });
});
