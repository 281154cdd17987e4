import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { began, output, succeeded } from './test-agent.ts';
import { TestController } from './test-controller.ts';

describe('a controller that starts again', () => {
  test('goes on with a run from its log: nothing is lost, nothing comes twice', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const run = admin.run();
    const { run: id } = await run.started();
    const { taskId } = await agent.asked();
    const report = agent.report();
    await report.open(taskId);
    assert.equal(await report.send(1, [...began, output('a'), output('b')]), 4);
    await controller.restart();
    const user = controller.readmit(admin);
    const watched = user.watch(id);
    const back = controller.attach(identity, { openTasks: [taskId] });
    await back.welcomed();
    const again = back.report();
    assert.equal(await again.open(taskId), 4);
    again.write(5, [output('c'), ...succeeded]);
    const events = await watched;
    assert.deepEqual(
      events.map(({ seq, event }) => [seq, event.type]),
      [
        [1, 'run.started'],
        [2, 'task.started'],
        [3, 'step.started'],
        [4, 'output'],
        [5, 'output'],
        [6, 'output'],
        [7, 'step.finished'],
        [8, 'task.finished'],
        [9, 'run.finished'],
      ],
    );
    const [row] = controller.rows('select state, exit_code from runs');
    assert.deepEqual([row?.['state'], row?.['exit_code']], ['succeeded', 0]);
    for (const type of ['run.started', 'action.finished', 'task.finished', 'run.finished']) {
      assert.equal(controller.audit(type).length, 1, type);
    }
    assert.deepEqual(await user.watch(id, 5), events.slice(5));
  });

  test('knows a task that an agent had accepted and not reported yet', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const { run: id } = await admin.run().started();
    const { taskId } = await agent.asked();
    await controller.restart();
    const watched = controller.readmit(admin).watch(id);
    const back = controller.attach(identity, { openTasks: [taskId] });
    await back.welcomed();
    await back.finish(taskId);
    const last = (await watched).at(-1)?.event;
    assert.equal(last?.type === 'run.finished' && last.exitCode, 0);
  });

  test('ends as lost what its agent does not know any more', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const { run: id } = await admin.run().started();
    const report = agent.report();
    await report.open((await agent.asked()).taskId);
    await report.send(1, began);
    await controller.restart();
    const watched = controller.readmit(admin).watch(id);
    controller.attach(identity);
    const last = (await watched).at(-1)?.event;
    assert.deepEqual(last?.type === 'run.finished' && [last.state, last.exitCode], ['lost', 4]);
  });

  test('gives a task up whose host does not come back', async (t) => {
    const controller = await TestController.start(t, { lostAfterMs: 200 });
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['sexy']);
    const { run: id } = await admin.run().started();
    const report = agent.report();
    await report.open((await agent.asked()).taskId);
    await report.send(1, began);
    await controller.restart();
    const last = (await controller.readmit(admin).watch(id)).at(-1)?.event;
    assert.deepEqual(last?.type === 'run.finished' && [last.state, last.exitCode], ['lost', 4]);
  });

  test('shows the runs that had ended', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['sexy']);
    const run = admin.run();
    await agent.finish((await agent.asked()).taskId);
    await run.finished();
    const { run: id } = run.events[0]?.event.type === 'run.started' ? run.events[0].event : { run: '' };
    await controller.restart();
    assert.deepEqual(await controller.readmit(admin).watch(id), run.events);
  });

  test('ends a run that only reads if nobody comes back to watch it', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    await admin.run({ command: 'logs', args: ['-f'] }).started();
    const { taskId } = await agent.asked();
    const report = agent.report();
    await report.open(taskId);
    await report.send(1, began);
    await controller.restart();
    controller.readmit(admin);
    const back = controller.attach(identity, { openTasks: [taskId] });
    await back.welcomed();
    assert.equal((await back.cancelled()).taskId, taskId);
  });

  test('remembers hosts, users and the tokens that were not used', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const token = await controller.token('agent');
    const identity = await controller.host('prod-1');
    await controller.restart();
    controller.readmit(admin);
    await controller.attach(identity).welcomed();
    await controller.join(token, 'prod-2');
  });
});
