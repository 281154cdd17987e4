import assert from 'node:assert/strict';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { describe, test, type TestContext } from 'node:test';
import type { TaskEvent } from '../../common/task-event.ts';
import { defaultLimits, type Limits } from '../../controller/services/limits.ts';
import { addHead } from '../../proto/audit-head-metadata.ts';
import { encodeTaskEvent } from '../../proto/event-codec.ts';
import {
  AgentHello,
  AgentLinkService,
  AgentMessage,
  LocalRun,
  TaskControl,
  TaskReport,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import {
  FleetService,
  GetRunRequest,
  type GetAuditHeadResponse,
  RunRequest,
  StartRunInput,
} from '../../proto/gen/kompose/v1/fleet.ts';
import { protocolVersion } from '../../proto/protocol-version.ts';
import { within } from '../integration/controller/inbox.ts';
import { began, type TestAgent } from '../integration/controller/test-agent.ts';
import { call, refusal, TestController } from '../integration/controller/test-controller.ts';
import { versionMetadata } from '../integration/controller/version-metadata.ts';
import { serves } from './ask.ts';
import { enhanceYourCalm, framed, framing, grpcHeaders, http2To, resetCode } from './http2-peer.ts';
import { callHeaders, flag, frame, frameType, RawPeer } from './raw-peer.ts';

const kibibyte = 1024;
const whoAmI = FleetService.whoAmI.path;

function start(t: TestContext, limits: Partial<Limits> = {}): Promise<TestController> {
  return TestController.start(t, { limits });
}

/** Says that it sends more than it does. */
function unfinished(session: ClientHttp2Session, bytes: number): ClientHttp2Stream {
  const stream = session.request(grpcHeaders(whoAmI));
  stream.write(Buffer.concat([framing(2 * bytes), Buffer.alloc(bytes)]));
  return stream;
}

async function firstReset(streams: readonly ClientHttp2Stream[]): Promise<number> {
  return within(3_000, 'the reset of a stream', Promise.race(streams.map(resetCode)));
}

describe('what the controller holds for one certificate', () => {
  const limits = { heldBytes: 1024 * kibibyte };

  test('of messages that are not whole is bounded, over all its connections, and given back', async (t) => {
    const controller = await start(t, limits);
    const viewer = await controller.user('viewer');
    const sessions = [http2To(t, controller, viewer.identity), http2To(t, controller, viewer.identity)];
    const streams = sessions.flatMap((session) =>
      Array.from({ length: 4 }, () => unfinished(session, 200 * kibibyte)),
    );
    assert.equal(await firstReset(streams), enhanceYourCalm);
    await serves(controller);
    for (const session of sessions) session.destroy();
    const again = Array.from({ length: 4 }, () => http2To(t, controller, viewer.identity));
    const { client, metadata } = controller.userWith(viewer.identity);
    for (const session of again) unfinished(session, 200 * kibibyte);
    await call((done) => client.whoAmI({}, metadata, done));
  });

  test('of messages that nobody has taken yet is bounded', async (t) => {
    const controller = await start(t, limits);
    // The pattern matches nothing, so the hosts are asked to look again, and this one never answers.
    await controller.online('prod-1', ['sexy']);
    const { identity } = await controller.admin();
    const request = { ...RunRequest.decode(Buffer.alloc(0)), pattern: 'nothing', command: 'ps' };
    const first = StartRunInput.encode({ kind: { $case: 'request', value: request } }).finish();
    const piece = { data: Buffer.alloc(100 * kibibyte), isEnd: false, mark: Buffer.alloc(32) };
    const stdin = { $case: 'stdin', value: piece } as const;
    const stream = http2To(t, controller, identity).request(grpcHeaders(FleetService.startRun.path));
    stream.write(framed(first));
    for (let count = 0; count < 15; count++)
      stream.write(framed(StartRunInput.encode({ kind: stdin }).finish()));
    assert.equal(await firstReset([stream]), enhanceYourCalm);
    await serves(controller);
  });

  test('of answers that it does not read is bounded', async (t) => {
    const controller = await start(t, limits);
    const admin = await controller.admin();
    await controller.online(
      'prod-1',
      Array.from({ length: 1_000 }, (_, at) => `stack-${at}`),
    );
    const { run: runId } = await admin.run({ command: 'ps' }).started();
    const session = http2To(t, controller, admin.identity, { settings: { initialWindowSize: 0 } });
    const question = framed(GetRunRequest.encode({ runId }).finish());
    const streams = Array.from({ length: 40 }, () => {
      const stream = session.request(grpcHeaders(FleetService.getRun.path));
      stream.end(question);
      return stream;
    });
    assert.equal(await firstReset(streams), enhanceYourCalm);
    await serves(controller);
  });

  test('of connections is bounded: one more is refused, and closed as a stranger’s', async (t) => {
    const controller = await start(t, { connectionsPerCertificate: 3, newcomerMs: 500 });
    const viewer = await controller.user('viewer');
    const peers = [];
    for (let count = 0; count < 4; count++) {
      const peer = await RawPeer.connect(t, controller.port, viewer.identity);
      peer.begin(frame(frameType.headers, flag.endHeaders, 1, callHeaders(whoAmI)));
      peers.push(peer);
    }
    await within(3_000, 'the end of one of them', Promise.race(peers.map(({ closed }) => closed)));
    const { status, message } = await refusal(
      call((done) => controller.userWith(viewer.identity).client.whoAmI({}, viewer.metadata, done)),
    );
    assert.equal(status, 'RESOURCE_EXHAUSTED');
    assert.match(message, /^3 connections of yours are open already/);
    assert.equal(peers.filter(({ socket }) => socket.destroyed).length, 1);
    await serves(controller);
  });
});

describe('a host that does not read', () => {
  const heartbeat = framed(
    AgentMessage.encode({
      kind: { $case: 'heartbeat', value: { nowUnixMs: 1, auditHead: undefined, renewCertificate: false } },
    }).finish(),
  );

  test('its link loses its connection, and what waited on it', async (t) => {
    const controller = await start(t, { unreadBytes: 64 * kibibyte });
    const identity = await controller.host('prod-1');
    const session = http2To(t, controller, identity, { settings: { initialWindowSize: 0 } });
    const stream = session.request(grpcHeaders(AgentLinkService.attach.path));
    const hello = { ...AgentHello.decode(Buffer.alloc(0)), protocolVersion, instanceId: 'i' };
    stream.on('error', () => undefined);
    stream.write(framed(AgentMessage.encode({ kind: { $case: 'hello', value: hello } }).finish()));
    const talking = setInterval(() => stream.write(Buffer.concat(Array(100).fill(heartbeat))), 5);
    const ended = new Promise((resolve) => void session.once('close', resolve));
    await within(5_000, 'the end of its connection', ended).finally(() => clearInterval(talking));
    await serves(controller);
  });

  test('its acknowledgements is told the newest alone', async (t) => {
    const controller = await start(t);
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const run = (await controller.admin()).run();
    const { taskId } = await agent.asked();
    const session = http2To(t, controller, identity, { settings: { initialWindowSize: 0 } });
    const stream = session.request(grpcHeaders(AgentLinkService.report.path));
    const acks = acknowledgements(stream);
    stream.write(framed(TaskReport.encode({ kind: { $case: 'opening', value: { taskId } } }).finish()));
    const last = 1_000;
    for (let seq = 1; seq <= last; seq++)
      stream.write(framed(report(seq, began[seq - 1] ?? { type: 'notice', text: `notice ${seq}` })));
    await run.inbox.next('the last event', ({ seq }) => (seq > last ? true : undefined));
    session.settings({ initialWindowSize: 1024 * kibibyte });
    await within(3_000, 'the newest acknowledgement', acks.until(last));
    assert.ok(acks.seen.length < 20, `${acks.seen.length} acknowledgements`);
  });

  test('and begins many runs of its own has them recorded one after the other, at a bounded rate', async (t) => {
    const controller = await start(t, { localRuns: { aSecond: 20, burst: 5 } });
    const { agent } = await controller.online('prod-1', ['sexy']);
    const beganMs = performance.now();
    for (let count = 0; count < 20; count++) agent.send({ $case: 'localRun', value: localRun(count) });
    for (let count = 0; count < 20; count++)
      await agent.inbox.next('an acknowledgement', ({ kind }) =>
        kind?.$case === 'localRunAck' ? true : undefined,
      );
    assert.ok(performance.now() - beganMs > 700, 'fifteen of them at twenty a second');
  });

  test('and goes before its runs are recorded leaves none of them waiting', async (t) => {
    const controller = await start(t, { localRuns: { aSecond: 1, burst: 1 } });
    const { agent, identity } = await controller.online('prod-1', ['sexy']);
    const heard = (link: TestAgent): Promise<string> =>
      link.inbox.next('an acknowledgement', ({ kind }) =>
        kind?.$case === 'localRunAck' ? kind.value.runId : undefined,
      );
    const [first, left, next] = [localRun(0), localRun(1), localRun(2)];
    agent.send({ $case: 'localRun', value: first });
    agent.send({ $case: 'localRun', value: left });
    // The one that was sent behind it is taken, and waits its turn.
    await agent.heartbeat();
    agent.stream.cancel();
    const back = controller.attach(identity);
    await back.welcomed();
    back.send({ $case: 'localRun', value: next });
    assert.equal(await heard(back), next.runId);
    assert.deepEqual(
      controller.rows('select id from runs order by id').map(({ id }) => id),
      [first.runId, next.runId],
    );
  });
});

describe('what a host tells of a task', () => {
  const step: TaskEvent = {
    type: 'step.finished',
    step: 'pre',
    name: 'hook_pre_up',
    outcome: 'succeeded',
    exitCode: 0,
    durationMs: 1,
    hookSha256: '',
    outputSha256: '',
  };

  async function told(t: TestContext, event: TaskEvent, times: number) {
    const controller = await start(t);
    const { agent } = await controller.online('prod-1', ['sexy']);
    (await controller.admin()).run();
    const { taskId } = await agent.asked();
    const stream = agent.report();
    await stream.open(taskId);
    for (let seq = 1; seq <= times; seq++) stream.write(seq, [event]);
    return { end: await stream.inbox.ended, controller };
  }

  test('is at most a hundred steps, each of which is a record', async (t) => {
    const { end, controller } = await told(t, step, 200);
    assert.equal(end.code, 'protocol');
    assert.match(end.message, /^there is too much to tell of task/);
    assert.equal(controller.audit('hook.finished').length, 100);
  });

  test('is bounded in bytes, all of which are kept', async (t) => {
    const { end } = await told(t, { type: 'notice', text: 'x'.repeat(1024 * kibibyte) }, 17);
    assert.equal(end.code, 'protocol');
    assert.match(end.message, /^there is too much to tell of task/);
  });
});

test('heads that the audit lacks make a few records and one that counts the rest, however many are presented', async (t) => {
  const controller = await start(t);
  const { client } = await controller.user('viewer');
  const { head } = await call<GetAuditHeadResponse>((done) =>
    client.getAuditHead({}, versionMetadata(), done),
  );
  assert.ok(head !== undefined);
  for (let count = 0; count < 30; count++) {
    const metadata = versionMetadata();
    addHead(metadata, { ...head, hash: String(count).padStart(64, '0') });
    await call((done) => client.whoAmI({}, metadata, done));
  }
  await controller.restart();
  const records = controller.audit('audit.contradicted');
  assert.equal(records.length, defaultLimits.refusalRecords + 1);
  assert.equal(records.at(-1)?.detail?.['more'], 30 - defaultLimits.refusalRecords);
  assert.ok(records.every(({ actor }) => actor.role === 'viewer'));
});

function report(seq: number, event: TaskEvent): Uint8Array {
  const events = [encodeTaskEvent({ seq, timeMs: 1, event })];
  return TaskReport.encode({ kind: { $case: 'events', value: { events } } }).finish();
}

/** The numbers that a task's report is told, as they come. */
function acknowledgements(stream: ClientHttp2Stream) {
  const seen: number[] = [];
  let bytes = Buffer.alloc(0);
  let changed = Promise.withResolvers<void>();
  stream
    .on('error', () => undefined)
    .on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (let end = 0; bytes.length >= 5 && bytes.length >= (end = 5 + bytes.readUInt32BE(1));) {
        const { kind } = TaskControl.decode(bytes.subarray(5, end));
        if (kind?.$case === 'ack') seen.push(kind.value.seq);
        bytes = bytes.subarray(end);
      }
      changed.resolve();
      changed = Promise.withResolvers();
    });
  const until = async (seq: number): Promise<void> => {
    while (seen.at(-1) !== seq) await changed.promise;
  };
  return { seen, until };
}

function localRun(count: number): LocalRun {
  const id = `01J0000000000000000000${String(count).padStart(4, '0')}`;
  const taskId = `02J0000000000000000000${String(count).padStart(4, '0')}`;
  return {
    ...LocalRun.decode(Buffer.alloc(0)),
    runId: id,
    user: 'root',
    pattern: 'sexy',
    command: 'ps',
    startedUnixMs: 1,
    targets: [{ taskId, host: 'prod-1', stack: 'sexy' }],
  };
}
