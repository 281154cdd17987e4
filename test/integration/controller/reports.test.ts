import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskEvent } from '../../../common/task-event.ts';
import { TaskEvent as WireTaskEvent, StepKind } from '../../../proto/gen/kompose/v1/event.ts';
import { began, output, succeeded, succeeding, type TestAgent } from './test-agent.ts';
import { TestController } from './test-controller.ts';
import type { WatchedRun } from './test-user.ts';

interface Started {
  readonly controller: TestController;
  readonly agent: TestAgent;
  readonly run: WatchedRun;
  readonly taskId: string;
}

/** A run on one target whose agent has been asked. */
async function started(controller: TestController): Promise<Started> {
  const { agent } = await controller.online('prod-1', ['sexy']);
  const run = (await controller.admin()).run();
  const { taskId } = await agent.asked();
  return { controller, agent, run, taskId };
}

function texts(run: WatchedRun): string[] {
  return run.events.flatMap(({ event }) =>
    event.type === 'output' ? [Buffer.from(event.data).toString()] : [],
  );
}

const hook: TaskEvent = {
  type: 'step.finished',
  step: 'pre',
  name: 'hook_pre_up',
  outcome: 'succeeded',
  exitCode: 0,
  durationMs: 7,
  hookSha256: 'ab'.repeat(32),
  outputSha256: 'cd'.repeat(32),
};

test('a report comes to the watcher whole and in order, and is acknowledged as it goes', async (t) => {
  const { agent, run, taskId } = await started(await TestController.start(t));
  const report = agent.report();
  assert.equal(await report.open(taskId), 0);
  assert.equal(await report.send(1, began), 2);
  assert.equal(await report.send(3, [output('a'), output('b')]), 4);
  report.write(5, succeeded);
  assert.ok((await report.acknowledged()) >= 6);
  report.stream.end();
  assert.equal((await run.finished()).exitCode, 0);
  const types = run.events.map(({ event }) => event.type);
  const action = ['step.started', 'output', 'output', 'step.finished'];
  assert.deepEqual(types, ['run.started', 'task.started', ...action, 'task.finished', 'run.finished']);
  assert.deepEqual(
    run.events.map(({ seq }) => seq),
    types.map((_, at) => at + 1),
  );
  assert.equal((await run.inbox.ended).status, 'OK');
});

test('events that come twice count once', async (t) => {
  const { controller, agent, run, taskId } = await started(await TestController.start(t));
  const report = agent.report();
  await report.open(taskId);
  const events = [...began, hook, output('a'), output('b')];
  await report.send(1, events);
  assert.equal(await report.send(1, events), 5);
  assert.equal(await report.send(4, [output('a'), output('b'), output('c')]), 6);
  await report.send(7, succeeded);
  await run.finished();
  assert.deepEqual(texts(run), ['a', 'b', 'c']);
  assert.equal(controller.audit('hook.finished').length, 1);
  assert.equal(controller.audit('action.finished').length, 1);
  assert.equal(controller.rows('select * from steps').length, 2);
});

test('events that come on several streams at once count once', async (t) => {
  const { controller, agent, run, taskId } = await started(await TestController.start(t));
  const reports = Array.from({ length: 8 }, () => agent.report());
  for (const report of reports) await report.open(taskId);
  const hooks = Array.from({ length: 40 }, (_, at) => ({ ...hook, durationMs: at }));
  const events = [...began, ...hooks, output('a'), ...succeeded];
  for (const [at, event] of events.entries()) {
    for (const report of reports) report.write(at + 1, [event]);
  }
  await run.finished();
  assert.deepEqual(texts(run), ['a']);
  assert.equal(run.events.length, events.length + 2);
  assert.equal(controller.audit('hook.finished').length, hooks.length);
  assert.equal(controller.audit('task.finished').length, 1);
});

test('a new report hears from where to go on', async (t) => {
  const { agent, run, taskId } = await started(await TestController.start(t));
  const first = agent.report();
  await first.open(taskId);
  await first.send(1, [...began, output('a')]);
  first.stream.cancel();
  const second = agent.report();
  assert.equal(await second.open(taskId), 3);
  await second.send(4, [output('b'), ...succeeded]);
  await run.finished();
  assert.deepEqual(texts(run), ['a', 'b']);
});

test('a gap is refused, and what came before it stays', async (t) => {
  const { agent, run, taskId } = await started(await TestController.start(t));
  const report = agent.report();
  await report.open(taskId);
  await report.send(1, began);
  report.write(4, [output('lost'), ...succeeded]);
  const { status, code, message } = await report.inbox.ended;
  assert.deepEqual({ status, code }, { status: 'FAILED_PRECONDITION', code: 'protocol' });
  assert.equal(message, `event 4 of task ${taskId} came after 2`);
  const again = agent.report();
  assert.equal(await again.open(taskId), 2);
  await again.send(3, [output('kept'), ...succeeded]);
  await run.finished();
  assert.deepEqual(texts(run), ['kept']);
});

test('events after the end are dropped', async (t) => {
  const { controller, agent, run, taskId } = await started(await TestController.start(t));
  const report = agent.report();
  await report.open(taskId);
  report.write(1, [...began, ...succeeded, output('late'), ...succeeded]);
  await run.finished();
  assert.deepEqual(texts(run), []);
  assert.equal(controller.audit('task.finished').length, 1);
});

test('a task of another host is refused as unknown', async (t) => {
  const controller = await TestController.start(t);
  const { run, agent, taskId } = await started(controller);
  const { agent: other } = await controller.online('prod-2', ['news']);
  const report = other.report();
  report.stream.write({ kind: { $case: 'opening', value: { taskId } } });
  const { status, code } = await report.inbox.ended;
  assert.deepEqual({ status, code }, { status: 'NOT_FOUND', code: 'not-found' });
  await agent.finish(taskId);
  assert.equal((await run.finished()).exitCode, 0);
});

test('a task of another host cannot be refused', async (t) => {
  const controller = await TestController.start(t);
  const { run, agent, taskId } = await started(controller);
  const { agent: other } = await controller.online('prod-2', ['news']);
  other.send({ $case: 'taskRefused', value: { taskId, reason: 'forged', denied: true } });
  await Promise.race([other.heartbeat(), other.inbox.ended]);
  const report = agent.report();
  await report.open(taskId);
  report.write(1, succeeding());
  await run.finished();
  assert.equal(run.ends['prod-1:sexy']?.state, 'succeeded');
});

test('a task that nobody asked for is refused as unknown', async (t) => {
  const { agent } = await (await TestController.start(t)).online('prod-1', ['sexy']);
  const report = agent.report();
  report.stream.write({ kind: { $case: 'opening', value: { taskId: 'T1' } } });
  assert.equal((await report.inbox.ended).status, 'NOT_FOUND');
});

test('events before the opening are refused', async (t) => {
  const { agent } = await started(await TestController.start(t));
  const report = agent.report();
  report.write(1, began);
  const { code, message } = await report.inbox.ended;
  assert.equal(code, 'protocol');
  assert.equal(message, 'a report is opened first, then holds events');
});

test('an event that this version does not know is refused by name, and is no hole in the log', async (t) => {
  const { agent, run, taskId } = await started(await TestController.start(t));
  const report = agent.report();
  await report.open(taskId);
  const value = { step: 77 as StepKind, name: 'x', argv: [] };
  const unknown = WireTaskEvent.encode({
    seq: 1,
    timeUnixMs: 1,
    kind: { $case: 'stepStarted', value },
  }).finish();
  report.stream.write({ kind: { $case: 'events', value: { events: [unknown] } } });
  const { code, message } = await report.inbox.ended;
  assert.equal(code, 'protocol');
  assert.equal(message, 'the peer sent an unknown step (77)');
  await agent.finish(taskId);
  await run.finished();
  assert.deepEqual(texts(run), ['done']);
});

test('bytes that are no event are refused, and the run goes on', async (t) => {
  const { agent, run, taskId } = await started(await TestController.start(t));
  const report = agent.report();
  await report.open(taskId);
  report.stream.write({ kind: { $case: 'events', value: { events: [Buffer.from([0xff, 0xff, 0xff])] } } });
  assert.notEqual((await report.inbox.ended).status, 'OK');
  await agent.finish(taskId);
  assert.equal((await run.finished()).exitCode, 0);
});

test('a hook that ran is in the audit with its digests', async (t) => {
  const { controller, agent, run, taskId } = await started(await TestController.start(t));
  await agent.finish(taskId, [...began, hook, ...succeeded]);
  await run.finished();
  const [record] = controller.audit('hook.finished');
  const { hook: audited, host } = { hook: undefined, ...record };
  assert.equal(host, 'prod-1');
  assert.deepEqual(audited, {
    name: 'hook_pre_up',
    sha256: 'ab'.repeat(32),
    exitCode: 0,
    durationMs: 7,
    outputSha256: 'cd'.repeat(32),
  });
});

test('a task that its agent refuses fails with the agent’s reason', async (t) => {
  const { agent, run, taskId } = await started(await TestController.start(t));
  agent.send({ $case: 'taskRefused', value: { taskId, reason: 'the disk is full', denied: false } });
  assert.equal((await run.finished()).exitCode, 1);
  assert.match(run.ends['prod-1:sexy']?.reason ?? '', /the disk is full/);
});

test('a task that its agent finds unsigned ends denied, and the audit says why', async (t) => {
  const controller = await TestController.start(t);
  const { agent, run, taskId } = await started(controller);
  agent.send({ $case: 'taskRefused', value: { taskId, reason: 'nobody signed it', denied: true } });
  assert.equal((await run.finished()).exitCode, 5);
  assert.equal(run.ends['prod-1:sexy']?.state, 'denied');
  const [record] = controller.audit('task.finished');
  assert.deepEqual(
    [record?.outcome, record?.reason],
    ['denied', 'the agent of prod-1 refused the task: nobody signed it'],
  );
});
