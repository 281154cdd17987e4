import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { clientChannelOptions } from '../../../proto/channel-options.ts';
import { identityCredentials, type Identity } from '../../../proto/enrol.ts';
import {
  AgentHello,
  AgentLinkClient,
  AgentLinkService,
  AgentMessage,
  TaskReport,
} from '../../../proto/gen/kompose/v1/agent_link.ts';
import { FleetService, type Host } from '../../../proto/gen/kompose/v1/fleet.ts';
import { protocolVersion } from '../../../proto/protocol-version.ts';
import { Inbox } from './inbox.ts';
import { succeeding } from './test-agent.ts';
import { call, TestController } from './test-controller.ts';
import { versionMetadata } from './version-metadata.ts';

async function hosts(controller: TestController): Promise<Record<string, Host>> {
  const { client, metadata } = await controller.admin();
  const inbox = new Inbox<Host>(client.listHosts({}, metadata));
  await inbox.ended;
  return Object.fromEntries(inbox.all.map((host) => [host.name, host]));
}

async function removeHost(controller: TestController, name: string): Promise<void> {
  const { client, metadata } = await controller.admin();
  await call((done) => client.removeHost({ name }, metadata, done));
}

describe('an agent that says hello', () => {
  test('is welcomed with the version and a heartbeat to keep, and is online', async (t) => {
    const controller = await TestController.start(t);
    const agent = controller.attach(await controller.host('prod-1'), { agentVersion: '9.9' });
    const welcome = await agent.welcomed();
    assert.equal(welcome.protocolVersion, protocolVersion);
    assert.ok(welcome.heartbeatPeriodMs > 4_000 && welcome.heartbeatPeriodMs <= 5_000);
    await agent.heartbeat();
    const { 'prod-1': host } = await hosts(controller);
    assert.equal(host?.online, true);
    assert.equal(host?.agentVersion, '9.9');
  });

  test('is asked for a heartbeat less often in a large fleet, and waited for as long', async (t) => {
    const settings = { heartbeatPeriodMs: 200, limits: { heartbeatsASecond: 1 } };
    const controller = await TestController.start(t, settings);
    const agent = controller.attach(await controller.host('prod-1'));
    const { heartbeatPeriodMs } = await agent.welcomed();
    const welcomedMs = performance.now();
    assert.ok(heartbeatPeriodMs >= 900 && heartbeatPeriodMs <= 1000);
    const { message } = await agent.inbox.ended;
    assert.match(message, /fallen silent/);
    // Two and a half of those; of the ones that a small fleet is asked for it would be half a second.
    assert.ok(performance.now() - welcomedMs > heartbeatPeriodMs);
  });

  for (const version of [0, protocolVersion + 1]) {
    test(`in protocol ${version} is refused with both versions`, async (t) => {
      const controller = await TestController.start(t);
      const agent = controller.attach(await controller.host('prod-1'), { protocolVersion: version });
      const { status, code, message } = await agent.inbox.ended;
      assert.deepEqual({ status, code }, { status: 'FAILED_PRECONDITION', code: 'protocol' });
      assert.ok(
        message.includes(`the agent speaks protocol ${version}, the controller ${protocolVersion}`),
        message,
      );
      assert.deepEqual(agent.heard, []);
      assert.equal((await hosts(controller))['prod-1']?.online, false);
    });
  }

  test('only after another message is refused', async (t) => {
    const controller = await TestController.start(t);
    const stream = controller.agentLink(await controller.host('prod-1')).attach();
    stream.write({ kind: { $case: 'inventory', value: { stacks: [], requestId: '' } } });
    const { code, message } = await new Inbox(stream).ended;
    assert.equal(code, 'protocol');
    assert.equal(message, 'an agent says hello first');
  });

  test('and falls silent is offline', async (t) => {
    const controller = await TestController.start(t, { heartbeatPeriodMs: 50 });
    const agent = controller.attach(await controller.host('prod-1'));
    await agent.welcomed();
    const { status, message } = await agent.inbox.ended;
    assert.equal(status, 'UNAVAILABLE');
    assert.equal(message, 'the agent has fallen silent');
    assert.equal((await hosts(controller))['prod-1']?.online, false);
  });

  test('and goes is offline, its stacks still known', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    agent.stream.end();
    await agent.inbox.ended;
    const { 'prod-1': host } = await hosts(controller);
    assert.equal(host?.online, false);
    assert.equal(host?.stacks, 1);
  });
});

describe('two agents of one host', () => {
  test('the one that started later wins, and the earlier is told to stay away', async (t) => {
    const controller = await TestController.start(t);
    const { identity, agent: earlier } = await controller.online('prod-1', ['sexy']);
    const later = controller.attach(identity, { startedUnixMs: Date.now() + 1000 });
    await later.welcomed();
    const { status, code, message } = await earlier.inbox.ended;
    assert.deepEqual({ status, code }, { status: 'ALREADY_EXISTS', code: 'conflict' });
    assert.match(message, /another agent for prod-1 was started later/);
    const run = (await controller.admin()).run();
    await later.finish((await later.asked()).taskId);
    assert.equal((await run.finished()).state, 'succeeded');
    assert.ok(!earlier.heard.includes('startTask'));
  });

  test('the one that started earlier is refused, and the later goes on', async (t) => {
    const controller = await TestController.start(t);
    const { identity, agent: later } = await controller.online('prod-1', ['sexy']);
    const earlier = controller.attach(identity, { startedUnixMs: Date.now() - 60_000 });
    const { status, code } = await earlier.inbox.ended;
    assert.deepEqual({ status, code }, { status: 'ALREADY_EXISTS', code: 'conflict' });
    await later.heartbeat();
    assert.equal((await hosts(controller))['prod-1']?.online, true);
  });

  test('the one that is refused is not welcomed first', async (t) => {
    const controller = await TestController.start(t);
    const { identity } = await controller.online('prod-1', ['sexy']);
    const earlier = controller.attach(identity, { startedUnixMs: Date.now() - 60_000 });
    await earlier.inbox.ended;
    assert.deepEqual(earlier.heard, []);
  });

  test('one that links anew takes its own place, and may come back', async (t) => {
    const controller = await TestController.start(t);
    const identity = await controller.host('prod-1');
    const hello = { instanceId: 'same', startedUnixMs: 1 };
    const first = controller.attach(identity, hello);
    await first.welcomed();
    const second = controller.attach(identity, hello);
    await second.welcomed();
    const { status, code } = await first.inbox.ended;
    assert.deepEqual({ status, code }, { status: 'UNAVAILABLE', code: 'unreachable' });
    await second.heartbeat();
    assert.equal((await hosts(controller))['prod-1']?.online, true);
  });
});

describe('a hello that arrives late', () => {
  const early = { instanceId: 'same', startedUnixMs: 1, linkNumber: 1 };
  const next = { ...early, linkNumber: 2 };

  test('is refused beside a later link of its agent, which goes on', async (t) => {
    const controller = await TestController.start(t);
    const identity = await controller.host('prod-1');
    const agent = controller.attach(identity, next);
    await agent.welcomed();
    const { status, message } = await controller.attach(identity, early).inbox.ended;
    assert.equal(status, 'UNAVAILABLE');
    assert.equal(message, 'a later link of the agent for prod-1 was here before');
    await agent.heartbeat();
    assert.equal((await hosts(controller))['prod-1']?.online, true);
  });

  for (const [of, later] of [
    ['its own agent', next],
    ['an agent that was started later', { instanceId: 'other', startedUnixMs: 2, linkNumber: 1 }],
  ] as const) {
    test(`is refused after a link of ${of}, also once that has gone`, async (t) => {
      const controller = await TestController.start(t);
      const identity = await controller.host('prod-1');
      const agent = controller.attach(identity, later);
      await agent.welcomed();
      agent.stream.end();
      await agent.inbox.ended;
      const { status, message } = await controller.attach(identity, early).inbox.ended;
      assert.equal(status, 'UNAVAILABLE');
      assert.equal(message, 'a later link of the agent for prod-1 was here before');
      assert.equal((await hosts(controller))['prod-1']?.online, false);
    });
  }

  test('holds up nothing that comes after it', async (t) => {
    const controller = await TestController.start(t);
    const identity = await controller.host('prod-1');
    await controller.attach(identity, next).welcomed();
    await controller.attach(identity, early).inbox.ended;
    await controller.attach(identity, { ...next, linkNumber: 3 }).welcomed();
    await controller.attach(identity, { instanceId: 'other', startedUnixMs: 2, linkNumber: 1 }).welcomed();
  });
});

describe('a removed host', () => {
  test('has its stream ended at once, and is refused from then on', async (t) => {
    const controller = await TestController.start(t);
    const { identity, agent } = await controller.online('prod-1', ['sexy']);
    const run = (await controller.admin()).run();
    await agent.asked();
    await removeHost(controller, 'prod-1');
    const { status, code, message } = await agent.inbox.ended;
    assert.deepEqual({ status, code }, { status: 'PERMISSION_DENIED', code: 'denied' });
    assert.equal(message, 'the host prod-1 was removed from the fleet');
    assert.equal((await run.finished()).exitCode, 4);
    assert.equal(run.ends['prod-1:sexy']?.state, 'lost');
    const again = controller.attach(identity);
    assert.equal((await again.inbox.ended).status, 'PERMISSION_DENIED');
    assert.equal((await again.report().inbox.ended).status, 'PERMISSION_DENIED');
    assert.equal(controller.audit('host.removed')[0]?.host, 'prod-1');
    assert.equal(controller.audit('host.refused')[0]?.host, 'prod-1');
  });

  test('has its report ended at once', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    const other = await controller.online('prod-2', ['sexy']);
    const run = (await controller.admin()).run();
    const report = agent.report();
    await report.open((await agent.asked()).taskId);
    await removeHost(controller, 'prod-1');
    await agent.inbox.ended;
    const events = succeeding('after its removal');
    report.write(1, events);
    await other.agent.finish((await other.agent.asked()).taskId);
    await run.finished();
    const shown = run.events.flatMap(({ event }) =>
      event.type === 'output' ? [Buffer.from(event.data).toString()] : [],
    );
    assert.deepEqual(shown, ['done']);
    report.stream.cancel();
  });

  test('that joined again is served by its new certificate only', async (t) => {
    const controller = await TestController.start(t);
    const old = await controller.host('prod-1');
    await removeHost(controller, 'prod-1');
    const fresh = await controller.host('prod-1');
    const { status, message } = await controller.attach(old).inbox.ended;
    assert.equal(status, 'PERMISSION_DENIED');
    assert.equal(message, 'the host prod-1 has joined again with another certificate');
    assert.equal(controller.audit('host.refused')[0]?.reason, message);
    await controller.attach(fresh).welcomed();
  });
});

describe('a message', () => {
  function largeClient(t: TestContext, controller: TestController, identity: Identity): AgentLinkClient {
    const options = { ...clientChannelOptions, 'grpc.max_send_message_length': -1 };
    const client = new AgentLinkClient(controller.address, identityCredentials(identity), options);
    t.after(() => client.close());
    return client;
  }

  /** With so many bytes in it. */
  const hello = (bytes: number): AgentMessage => {
    const none = AgentHello.decode(Buffer.alloc(0));
    const value = { ...none, protocolVersion, instanceId: 'i', sealingKey: Buffer.alloc(bytes) };
    return { kind: { $case: 'hello', value } };
  };

  test('just below the limit is taken', async (t) => {
    const controller = await TestController.start(t);
    const client = largeClient(t, controller, await controller.host('prod-1'));
    const stream = client.attach();
    const inbox = new Inbox(stream);
    stream.write(hello(4 * 1024 * 1024 - 100));
    await inbox.next('a welcome', (message) => message);
    stream.cancel();
    await inbox.ended;
  });

  test('over the limit ends its stream with a named error, and nothing else', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-2', ['sexy']);
    const client = largeClient(t, controller, await controller.host('prod-1'));
    const stream = client.attach();
    stream.write(hello(4 * 1024 * 1024));
    const { status, message } = await new Inbox(stream).ended;
    assert.equal(status, 'RESOURCE_EXHAUSTED');
    assert.match(message, /message larger than max/);
    await agent.heartbeat();
  });

  /** Field 99, as a later version may have it: no case that this one knows. */
  const unknownCase = Buffer.from([0x9a, 0x06, 3, 1, 2, 3]);
  const raw = (bytes: Buffer): Buffer => bytes;

  test('of an unknown case ends the agent’s stream with a named error', async (t) => {
    const controller = await TestController.start(t);
    const client = controller.agentLink(await controller.host('prod-1'));
    const stream = client.makeBidiStreamRequest(AgentLinkService.attach.path, raw, raw);
    const inbox = new Inbox<Buffer>(stream);
    stream.write(Buffer.from(AgentMessage.encode(hello(0)).finish()));
    await inbox.next('a welcome', (message) => message);
    stream.write(unknownCase);
    const { code, message } = await inbox.ended;
    assert.equal(code, 'unsupported');
    assert.equal(message, 'the agent sent a message of an unknown kind: upgrade the controller');
    assert.equal((await hosts(controller))['prod-1']?.online, false);
  });

  test('of an unknown case ends the stream with the status that the manual names', async (t) => {
    const controller = await TestController.start(t);
    const client = controller.agentLink(await controller.host('prod-1'));
    const stream = client.makeBidiStreamRequest(AgentLinkService.attach.path, raw, raw);
    const inbox = new Inbox<Buffer>(stream);
    stream.write(Buffer.from(AgentMessage.encode(hello(0)).finish()));
    await inbox.next('a welcome', (message) => message);
    stream.write(unknownCase);
    // proto/kompose/v1/agent_link.proto, at Attach.
    assert.equal((await inbox.ended).status, 'UNIMPLEMENTED');
  });

  test('of an unknown case ends a report with a named error', async (t) => {
    const controller = await TestController.start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    (await controller.admin()).run();
    const { taskId } = await agent.asked();
    const stream = agent.client.makeBidiStreamRequest(AgentLinkService.report.path, raw, raw);
    const inbox = new Inbox<Buffer>(stream);
    const opening = TaskReport.encode({ kind: { $case: 'opening', value: { taskId } } }).finish();
    stream.write(Buffer.from(opening));
    await inbox.next('an acknowledgement', (message) => message);
    stream.write(unknownCase);
    assert.equal((await inbox.ended).code, 'protocol');
    await agent.finish(taskId);
  });

  test('of an unknown case ends a user’s stream with a named error', async (t) => {
    const controller = await TestController.start(t);
    const { client } = await controller.admin();
    const stream = client.makeBidiStreamRequest(FleetService.startRun.path, raw, raw, versionMetadata());
    stream.write(unknownCase);
    const { code, message } = await new Inbox(stream).ended;
    assert.equal(code, 'unsupported');
    assert.equal(message, 'the client sent a message of an unknown kind: upgrade the controller');
  });

  test('that is no message at all ends its stream, and nothing else', async (t) => {
    const controller = await TestController.start(t);
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const stream = controller
      .agentLink(identity)
      .makeBidiStreamRequest(AgentLinkService.attach.path, raw, raw);
    stream.write(Buffer.from([0xff, 0xff, 0xff]));
    assert.notEqual((await new Inbox(stream).ended).status, 'OK');
    await agent.heartbeat();
  });
});
