import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskEvent } from '../../../common/task-event.ts';
import type { TaskAcks } from '../../../proto/gen/kompose/v1/agent_link.ts';
import { encodeTaskEvent } from '../../../proto/event-codec.ts';
import { began, output, succeeded, succeeding, type TestAgent } from './test-agent.ts';
import { TestController } from './test-controller.ts';

const unknownTask = '01J00000000000000000000000';

function tell(agent: TestAgent, taskId: string, firstSeq: number, events: readonly TaskEvent[]): void {
  const bytes = events.map((event, at) => encodeTaskEvent({ seq: firstSeq + at, timeMs: Date.now(), event }));
  agent.send({ $case: 'taskNews', value: { taskId, events: bytes } });
}

/** What the controller says next of how far it has tasks. */
function acks(agent: TestAgent): Promise<TaskAcks> {
  return agent.inbox.next('an acknowledgement', ({ kind }) =>
    kind?.$case === 'taskAcks' ? kind.value : undefined,
  );
}

test('what a task tells over the link of its agent comes to the watcher whole, and is acknowledged', async (t) => {
  const controller = await TestController.start(t);
  const { agent } = await controller.online('prod-1', ['sexy']);
  const run = (await controller.admin()).run();
  const { taskId } = await agent.asked();
  tell(agent, taskId, 1, [...began, output('a')]);
  assert.deepEqual(await acks(agent), { known: [{ taskId, seq: 3 }], unknown: [] });
  tell(agent, taskId, 3, [output('a'), output('b'), ...succeeded]);
  const [last] = (await acks(agent)).known;
  assert.ok(last !== undefined && last.seq >= 6);
  assert.equal((await run.finished()).exitCode, 0);
  const texts = run.events.flatMap(({ event }) => (event.type === 'output' ? [String(event.data)] : []));
  assert.deepEqual(texts, ['a', 'b']);
  assert.equal(controller.audit('action.finished').length, 1);
  assert.equal(controller.audit('task.finished').length, 1);
});

test('what comes over the link and over a report of its own counts once', async (t) => {
  const controller = await TestController.start(t);
  const { agent } = await controller.online('prod-1', ['sexy']);
  const run = (await controller.admin()).run();
  const { taskId } = await agent.asked();
  const report = agent.report();
  await report.open(taskId);
  for (const [at, event] of succeeding('once').entries()) {
    tell(agent, taskId, at + 1, [event]);
    report.write(at + 1, [event]);
  }
  await run.finished();
  assert.equal(run.events.length, succeeding().length + 2);
  assert.equal(controller.audit('task.finished').length, 1);
});

test('the next link of an agent hears of each of its tasks from where to go on, and which are unknown', async (t) => {
  const controller = await TestController.start(t);
  const { agent, identity } = await controller.online('prod-1', ['sexy']);
  const run = (await controller.admin()).run();
  const { taskId } = await agent.asked();
  tell(agent, taskId, 1, began);
  await acks(agent);
  agent.stream.cancel();
  const back = controller.attach(identity, { openTasks: [taskId, unknownTask] });
  assert.deepEqual(await acks(back), { known: [{ taskId, seq: 2 }], unknown: [unknownTask] });
  tell(back, taskId, 3, succeeded);
  assert.equal((await run.finished()).exitCode, 0);
});

test('a task of another host is unknown over the link, too', async (t) => {
  const controller = await TestController.start(t);
  const { agent } = await controller.online('prod-1', ['sexy']);
  const { agent: other } = await controller.online('prod-2', []);
  const run = (await controller.admin()).run();
  const { taskId } = await agent.asked();
  tell(other, taskId, 1, succeeding('forged'));
  assert.deepEqual(await acks(other), { known: [], unknown: [taskId] });
  tell(agent, taskId, 1, succeeding());
  await run.finished();
  assert.ok(run.events.every(({ event }) => event.type !== 'output' || String(event.data) === 'done'));
});

test('a gap in what comes over the link ends it, and not the agent', async (t) => {
  const controller = await TestController.start(t);
  const { agent } = await controller.online('prod-1', ['sexy']);
  (await controller.admin()).run();
  const { taskId } = await agent.asked();
  tell(agent, taskId, 4, [output('lost')]);
  const { code, message } = await agent.inbox.ended;
  assert.equal(code, 'unreachable');
  assert.equal(message, `the link was ended: event 4 of task ${taskId} came after 0`);
});
