import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { describe, test, type TestContext } from 'node:test';
import { Inbox, within } from './inbox.ts';
import { began } from './test-agent.ts';
import { call, TestController } from './test-controller.ts';

const atOnceMs = 1_000;

function ended(what: string, stream: EventEmitter): { end: () => Promise<string> } {
  const inbox = new Inbox<unknown>(stream);
  return { end: async () => (await within(atOnceMs, `the end of ${what}`, inbox.ended)).status };
}

describe('the removal of a user ends within a second', () => {
  test('a run that they started and watch, and the watch of another’s', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['sexy']);
    const viewer = await controller.user('viewer');
    const { name } = await call<{ name: string }>((done) => viewer.client.whoAmI({}, viewer.metadata, done));
    const others = admin.run();
    const { run: runId } = await others.started();
    await agent.asked();
    const own = viewer.run({ command: 'logs', args: ['-f'] });
    await own.started();
    const watch = viewer.client.watchRun({ runId, afterSeq: 0 }, viewer.metadata);
    const watched = ended('the watch', watch);
    await new Promise((resolve) => void watch.once('data', resolve));
    await admin.removeUser(name);
    assert.equal(await watched.end(), 'UNAUTHENTICATED');
    assert.equal((await within(atOnceMs, 'the end of the run', own.inbox.ended)).status, 'UNAUTHENTICATED');
  });

  test('a listing that waits for an answer, and a call that nobody answers', async (t) => {
    const controller = await TestController.start(t);
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['sexy']);
    const viewer = await controller.user('viewer');
    const { name } = await call<{ name: string }>((done) => viewer.client.whoAmI({}, viewer.metadata, done));
    const request = { pattern: '', filter: undefined, withServices: true };
    const listing = ended('the listing', viewer.client.listStacks(request, viewer.metadata));
    const idle = ended('the call', viewer.client.startRun(viewer.metadata));
    // The agent never answers, so that the listing goes on for as long as it may.
    await agent.inbox.next('a question', ({ kind }) => (kind?.$case === 'stackStatus' ? kind : undefined));
    await admin.removeUser(name);
    assert.notEqual(await listing.end(), 'OK');
    assert.notEqual(await idle.end(), 'OK');
  });
});

/** A host in the middle of a task has nothing open any more once this was done. */
async function endsItsStreams(
  t: TestContext,
  act: (controller: TestController) => Promise<unknown>,
): Promise<void> {
  const controller = await TestController.start(t);
  const admin = await controller.admin();
  const { agent } = await controller.online('prod-1', ['sexy']);
  const run = admin.run();
  await run.started();
  const { taskId } = await agent.asked();
  const report = agent.report();
  await report.open(taskId);
  await report.send(1, began);
  await act(controller);
  const link = await within(atOnceMs, 'the end of the link', agent.inbox.ended);
  assert.equal(link.status, 'PERMISSION_DENIED');
  const reported = await within(atOnceMs, 'the end of the report', report.inbox.ended);
  assert.notEqual(reported.status, 'OK');
}

test('the removal of a host ends its link and its reports within a second', (t) =>
  endsItsStreams(t, async (controller) => {
    const { client, metadata } = await controller.admin();
    await call((done) => client.removeHost({ name: 'prod-1' }, metadata, done));
  }));

test('another machine in a host’s place ends its link and its reports within a second', (t) =>
  endsItsStreams(t, async (controller) => {
    const token = await controller.token('agent', { replaces: 'prod-1' });
    await controller.join(token, 'prod-1');
  }));
