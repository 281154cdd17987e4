import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { Door } from '../../controller/services/door.ts';
import { defaultLimits, type Limits } from '../../controller/services/limits.ts';
import { identityCredentials, type Identity } from '../../proto/enrol.ts';
import { AgentLinkService } from '../../proto/gen/kompose/v1/agent_link.ts';
import { EnrolmentService } from '../../proto/gen/kompose/v1/enrolment.ts';
import { FleetService, GetRunRequest } from '../../proto/gen/kompose/v1/fleet.ts';
import { protocolMetadataKey, protocolVersion } from '../../proto/protocol-version.ts';
import { within } from '../integration/controller/inbox.ts';
import { call, refusal, TestController, loginWords } from '../integration/controller/test-controller.ts';
import { ask, clientWith, serves } from './ask.ts';
import { framed, grpcHeaders, http2To } from './http2-peer.ts';
import { allMethods } from './methods.ts';
import { callHeaders, flag, frame, frameType, preface, RawPeer, reset, wideWindows } from './raw-peer.ts';

const login = EnrolmentService.login.path;
const whoAmI = FleetService.whoAmI.path;
const checkHost = AgentLinkService.checkHost.path;

function start(t: TestContext, limits: Partial<Limits> = {}): Promise<TestController> {
  return TestController.start(t, { limits });
}

function open(stream: number, path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return frame(frameType.headers, flag.endHeaders, stream, callHeaders(path, more));
}

function data(stream: number, bytes: number): Buffer[] {
  const piece = 16_384;
  return Array.from({ length: Math.ceil(bytes / piece) }, () =>
    frame(frameType.data, flag.none, stream, Buffer.alloc(piece)),
  );
}

describe('a connection without a certificate', () => {
  test('that never begins its handshake is closed after a while', async (t) => {
    const controller = await start(t, { handshakeMs: 1500 });
    const socket = connectPlain(controller.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => undefined).resume();
    await within(10_000, 'its end', new Promise((resolve) => void socket.once('close', resolve)));
    await serves(controller);
  });

  test('that says half a handshake is closed after a while', async (t) => {
    const controller = await start(t, { handshakeMs: 1500 });
    const socket = connectPlain(controller.port, '127.0.0.1');
    t.after(() => socket.destroy());
    socket.on('error', () => undefined).resume();
    socket.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]));
    await within(10_000, 'its end', new Promise((resolve) => void socket.once('close', resolve)));
    await serves(controller);
  });

  test('that stays idle is closed after a while', async (t) => {
    const controller = await start(t, { newcomerMs: 1500 });
    const peer = await RawPeer.connect(t, controller.port);
    peer.begin();
    await within(10_000, 'its end', peer.closed);
    await serves(controller);
  });

  test('that keeps asking is closed after a while all the same', async (t) => {
    const controller = await start(t, { newcomerMs: 1500 });
    const peer = await RawPeer.connect(t, controller.port);
    peer.begin();
    let stream = 1;
    const asking = setInterval(() => {
      peer.say(open(stream, login), reset(stream));
      stream += 2;
    }, 20);
    await within(10_000, 'its end', peer.closed).finally(() => clearInterval(asking));
    assert.ok(stream > 3);
  });

  test('makes room for the next when there are too many', async (t) => {
    const controller = await start(t, { newcomers: 5 });
    const first = await RawPeer.connect(t, controller.port);
    const others = [];
    for (let count = 0; count < 4; count++) others.push(await RawPeer.connect(t, controller.port));
    assert.equal(first.socket.destroyed, false);
    others.push(await RawPeer.connect(t, controller.port));
    await within(10_000, 'the end of the oldest', first.closed);
    assert.ok(others.every(({ socket }) => !socket.destroyed));
    await serves(controller);
  });

  test('waits to be let in, however many come together, and is', async (t) => {
    let [came, most] = [0, 0];
    const all = Promise.withResolvers<void>();
    const few = {
      ...defaultLimits,
      newcomerMs: 10_000,
      newcomers: 5,
      waiting: 100,
      connectionsPerCertificate: 1,
    };
    const door = new Door(few, (socket) => {
      socket.on('error', () => undefined);
      most = Math.max(most, door.newcomers);
      if (++came === 30) all.resolve();
    });
    t.after(() => door.close());
    const port = await door.listen('127.0.0.1:0');
    for (let count = 0; count < 30; count++) {
      const socket = connectPlain(port, '127.0.0.1').on('error', () => undefined);
      t.after(() => socket.destroy());
    }
    await within(10_000, 'all of them', all.promise);
    assert.equal(most, 5);
  });

  test('is cut off once it has said more than a login takes', async (t) => {
    const controller = await start(t);
    const peer = await RawPeer.connect(t, controller.port);
    // What is opened here before the end is answered after it.
    peer.begin(open(1, login), ...data(1, 49_152), open(3, '/x'), open(5, login, { 'content-type': 'x' }));
    const more = setInterval(() => peer.say(...data(1, 16_384), open(7, '/x')), 20);
    await within(10_000, 'its end', peer.closed).finally(() => clearInterval(more));
    await serves(controller);
  });
});

describe('a connection with a certificate', () => {
  test('is no newcomer any more: it stays', async (t) => {
    const controller = await start(t, { newcomerMs: 1500 });
    const { identity } = await controller.admin();
    const peer = await RawPeer.connect(t, controller.port, identity);
    const stranger = await RawPeer.connect(t, controller.port);
    peer.begin(open(1, whoAmI));
    stranger.begin();
    await within(10_000, 'the end of the stranger', stranger.closed);
    assert.equal(peer.socket.destroyed, false);
  });

  test('is closed when it has had no call for long', async (t) => {
    const controller = await start(t, { idleMs: 1500 });
    const { identity } = await controller.admin();
    const session = http2To(t, controller, identity);
    const stream = session.request(grpcHeaders(whoAmI));
    stream.on('error', () => undefined);
    stream.close();
    await within(10_000, 'its end', new Promise((resolve) => void session.once('close', resolve)));
  });

  test('is closed when it takes nothing of what it asked for; one that is idle stays', async (t) => {
    const controller = await start(t, { keepaliveMs: 1_000, keepaliveAnswerMs: 2_000 });
    const admin = await controller.admin();
    const stacks = Array.from({ length: 1_000 }, (_, at) => `stack-${at}`);
    await controller.online('prod-1', stacks);
    const { run: runId } = await admin.run({ command: 'ps' }).started();
    const idle = http2To(t, controller, admin.identity);
    await answersCall(idle);
    const taking = await RawPeer.connect(t, controller.port, admin.identity);
    const question = framed(GetRunRequest.encode({ runId }).finish());
    const questions = Array.from({ length: 200 }, (_, at) => [
      open(2 * at + 1, FleetService.getRun.path, { [protocolMetadataKey]: String(protocolVersion) }),
      frame(frameType.data, flag.endStream, 2 * at + 1, question),
    ]);
    taking.socket.pause();
    taking.begin(wideWindows, ...questions.flat());
    // What the controller does not read any more, TCP holds; it tells once the connection is gone.
    const ping = setInterval(() => taking.say(frame(frameType.ping, flag.none, 0, Buffer.alloc(8))), 100);
    await within(60_000, 'its end', taking.closed).finally(() => clearInterval(ping));
    await answersCall(idle);
    await serves(controller);
  });
});

describe('the share of one peer', () => {
  const few = { openCalls: 3, callsPerSecond: 1_000, burst: 1_000 };

  const callers = [
    ['user', whoAmI, allMethods.filter(({ path }) => !path.includes('AgentLink'))],
    ['host', checkHost, allMethods.filter(({ path }) => !path.includes('Fleet'))],
  ] as const;
  for (const [kind, some, methods] of callers) {
    test(`holds for every method that a ${kind} may call: open calls`, async (t) => {
      const controller = await start(t, { [kind]: few });
      const identity = await identityOf(controller, kind);
      const session = http2To(t, controller, identity);
      // None of them says what it wants, so that all stay open; the fourth is refused.
      const begun = Array.from({ length: 4 }, () => session.request(grpcHeaders(some)));
      await within(10_000, 'a refusal', Promise.race(begun.map((stream) => once(stream, 'response'))));
      for (const method of methods) {
        const client = clientWith(controller, identityCredentials(identity));
        const { status, message } = await ask(client, method);
        assert.equal(status, 'RESOURCE_EXHAUSTED', method.path);
        assert.match(message, /^3 calls of yours are open already/, method.path);
      }
    });

    test(`holds for every method that a ${kind} may call: calls a second`, async (t) => {
      const controller = await start(t, { [kind]: { openCalls: 100, callsPerSecond: 0.001, burst: 5 } });
      const identity = await identityOf(controller, kind);
      const client = clientWith(controller, identityCredentials(identity));
      const first = methods.find(({ path }) => path === some);
      assert.ok(first !== undefined);
      for (let count = 0; count < 5; count++) await ask(client, first);
      for (const method of methods) {
        const { status, message } = await ask(client, method);
        assert.equal(status, 'RESOURCE_EXHAUSTED', method.path);
        assert.match(message, /^too many calls at once/, method.path);
      }
    });
  }

  test('is its own: others are served', async (t) => {
    const controller = await start(t, { user: few });
    const viewer = await controller.user('viewer');
    const session = http2To(t, controller, viewer.identity);
    for (let count = 0; count < 50; count++)
      session.request(grpcHeaders(whoAmI)).on('error', () => undefined);
    const { status } = await refusal(
      call((done) => controller.userWith(viewer.identity).client.whoAmI({}, viewer.metadata, done)),
    );
    assert.equal(status, 'RESOURCE_EXHAUSTED');
    await serves(controller);
  });

  test('is given back when a call is over', async (t) => {
    const controller = await start(t, { user: few });
    const { client, metadata } = await controller.admin();
    for (let count = 0; count < 10; count++) await call((done) => client.whoAmI({}, metadata, done));
  });

  test('of an address without a certificate leaves the logins of others alone', async (t) => {
    const stranger = { openCalls: 100, callsPerSecond: 0.001, burst: 5 };
    const controller = await start(t, { stranger });
    const flood = controller.enrolment();
    const message = { ...loginWords('bogus'), certificateRequest: Buffer.from('x') };
    const told = Array.from({ length: 8 }, () => refusal(call((done) => flood.login(message, done))));
    const statuses = (await Promise.all(told)).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 'RESOURCE_EXHAUSTED').length, 3);
    const elsewhere = http2To(t, controller, undefined, { localAddress: '127.0.0.2' }).request(
      grpcHeaders(login),
    );
    elsewhere.end(Buffer.from([0, 0, 0, 0, 0]));
    const [answer] = await within(10_000, 'an answer', once(elsewhere, 'response'));
    assert.equal((answer as IncomingHttpHeaders)['grpc-status'], '16');
  });

  test('of streams on one connection is told to the peer', async (t) => {
    const controller = await start(t, { streamsPerConnection: 7 });
    const session = http2To(t, controller, (await controller.admin()).identity);
    await within(
      3_000,
      'its settings',
      new Promise((resolve) => void session.once('remoteSettings', resolve)),
    );
    assert.equal(session.remoteSettings.maxConcurrentStreams, 7);
    assert.equal(session.remoteSettings.maxHeaderListSize, defaultLimits.headerBytes);
  });
});

describe('what is too large', () => {
  test('in the headers is refused, and the connection goes on', async (t) => {
    const controller = await start(t);
    const session = http2To(t, controller, (await controller.admin()).identity);
    // Ours count from when the peer has acknowledged them; until then, HTTP/2's own 64 KiB.
    const first = session.request(grpcHeaders(whoAmI)).resume().end(Buffer.alloc(5));
    await within(10_000, 'an answer', once(first, 'close'));
    const stream = session.request(grpcHeaders(whoAmI, { 'x-much': 'x'.repeat(defaultLimits.headerBytes) }));
    let isAnswered = false;
    stream.on('error', () => undefined).once('response', () => void (isAnswered = true));
    stream.resume().end(Buffer.alloc(5));
    await within(10_000, 'a refusal', new Promise((resolve) => void stream.once('close', resolve)));
    assert.equal(isAnswered, false);
    await serves(controller);
  });

  test('in headers without an end ends the connection', async (t) => {
    const controller = await start(t);
    const { identity } = await controller.admin();
    const peer = await RawPeer.connect(t, controller.port, identity);
    peer.begin(frame(frameType.headers, flag.none, 1, callHeaders(whoAmI)));
    const field = callHeaders('/x', { 'x-more': 'y'.repeat(8_000) });
    const going = setInterval(() => peer.say(frame(frameType.continuation, flag.none, 1, field)), 5);
    await within(5_000, 'its end', peer.closed).finally(() => clearInterval(going));
    await serves(controller);
  });

  test('is any message beyond 4 MiB, to every method', async (t) => {
    const controller = await start(t);
    const admin = clientWith(controller, identityCredentials((await controller.admin()).identity));
    const host = clientWith(controller, identityCredentials(await controller.host('prod-1')));
    const large = Buffer.alloc(4 * 1024 * 1024 + 1);
    for (const method of allMethods.filter(({ path }) => path !== login && !path.endsWith('/Join'))) {
      const client = method.path.includes('AgentLink') ? host : admin;
      const { status } = await ask(client, method, large);
      assert.equal(status, 'RESOURCE_EXHAUSTED', method.path);
    }
  });

  for (const encoding of ['gzip', 'deflate', 'br']) {
    test(`cannot hide in a compressed message: ${encoding} is refused`, async (t) => {
      const controller = await start(t);
      const session = http2To(t, controller, (await controller.admin()).identity);
      const stream = session.request(grpcHeaders(whoAmI, { 'grpc-encoding': encoding }));
      const bomb = gzipSync(Buffer.alloc(3_000_000));
      const head = Buffer.from([1, 0, 0, 0, 0]);
      head.writeUInt32BE(bomb.length, 1);
      stream.on('error', () => undefined);
      const answered = new Promise<IncomingHttpHeaders>((resolve) => void stream.once('response', resolve));
      stream.end(Buffer.concat([head, bomb]));
      assert.equal((await within(10_000, 'a refusal', answered))['grpc-status'], '12');
    });
  }
});

test('a peer that goes away in the middle of anything harms nobody', async (t) => {
  const controller = await start(t);
  const { identity } = await controller.admin();
  const garbage = [
    frame(frameType.settings, flag.none, 5, Buffer.alloc(3)),
    frame(frameType.data, flag.none, 0, Buffer.alloc(3)),
    frame(frameType.headers, flag.endHeaders, 2, Buffer.from([255, 255])),
    Buffer.alloc(100, 255),
  ];
  for (const who of [undefined, identity]) {
    for (const bad of garbage) {
      const peer = await RawPeer.connect(t, controller.port, who);
      const paths = ['/x', login, whoAmI, '/kompose.v1.AgentLink/Attach'];
      const streams = paths.flatMap((path, at) => [
        open(at * 4 + 1, path, { 'content-type': 'x' }),
        reset(at * 4 + 1),
        open(at * 4 + 3, path, { 'grpc-encoding': 'gzip', 'grpc-timeout': '0n' }),
      ]);
      peer.say(preface, frame(frameType.settings, flag.none, 0, Buffer.alloc(0)), ...streams, bad);
      await within(10_000, 'its end', peer.closed);
    }
  }
  await serves(controller);
});

async function identityOf(controller: TestController, kind: 'user' | 'host'): Promise<Identity> {
  return kind === 'host' ? controller.host('prod-1') : (await controller.admin()).identity;
}

/** Of a call that needs no more than a certificate. */
async function answersCall(session: ClientHttp2Session): Promise<void> {
  const stream = session.request(grpcHeaders(whoAmI)).end(framed(Buffer.alloc(0)));
  const [answer] = await within(10_000, 'an answer', once(stream, 'response'));
  assert.equal((answer as IncomingHttpHeaders)[':status'], 200);
  stream.resume();
  await within(10_000, 'its end', once(stream, 'close'));
}
