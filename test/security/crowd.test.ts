import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { loadContext } from '../../cli/contexts.ts';
import { defaultLimits } from '../../controller/services/limits.ts';
import type { Identity } from '../../proto/enrol.ts';
import { EnrolmentService } from '../../proto/gen/kompose/v1/enrolment.ts';
import { FleetService } from '../../proto/gen/kompose/v1/fleet.ts';
import { describePeak, peakOf, type Peak } from '../bench/peak-memory.ts';
import { within } from '../integration/controller/inbox.ts';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';
import { framing } from './http2-peer.ts';
import { callHeaders, flag, frame, frameType, RawPeer } from './raw-peer.ts';

/*
 * The real controller, a process of its own with the limits that it has everywhere, under more of everything than it
 * takes. Meanwhile somebody else has a command run, and the memory of its process is looked at.
 */

/** What the controller may have in memory, whatever one user and any number of strangers do; it begins with 95. */
const mostMb = 640;

const whoAmI = FleetService.whoAmI.path;
const login = EnrolmentService.login.path;
let fleet: StubFleet;
let mallory: Identity;

before(async () => {
  fleet = await StubFleet.start('prod-1');
  const token = await fleet.must('users', 'add', 'mallory', '--role', 'viewer');
  await fleet.run('mallory', ['login', token.trim()]);
  mallory = await loadContext(join(fleet.home('mallory'), 'user'), undefined);
});

after(() => fleet.stop());

/** An attack that is there when `begin` resolves, and goes on. */
interface Attack {
  readonly begin: (t: TestContext) => Promise<unknown>;
}

/** The peak while the attacks are there and, then, another user's command is run; all is in the report. */
async function under(t: TestContext, attacks: readonly Attack[]): Promise<Peak> {
  const peak = await peakOf(
    fleet.controllerPid,
    (async () => {
      for (const { begin } of attacks) await begin(t);
      const beganMs = performance.now();
      const { code, stderr } = await within(
        5_000,
        'the command of another',
        fleet.kompose('sexy', 'restart'),
      );
      assert.equal(code, 0, stderr);
      t.diagnostic(`another user’s command took ${Math.round(performance.now() - beganMs)} ms`);
    })(),
  );
  t.diagnostic(describePeak('controller', peak));
  return peak;
}

/** So many connections, eight at a time. */
async function peers(t: TestContext, count: number, identity?: Identity): Promise<RawPeer[]> {
  const all: RawPeer[] = [];
  const connectSome = async (): Promise<void> => {
    for (; count > 0;) {
      count--;
      all.push(await RawPeer.connect(t, Number(fleet.address.split(':')[1]), identity));
    }
  };
  await Promise.all(Array.from({ length: 8 }, connectSome));
  return all;
}

/** Resolves when the controller has dealt with all that was said before: it answers a ping, or ends the connection. */
async function heard({ socket, closed }: RawPeer): Promise<void> {
  const token = Buffer.from('all-said');
  let bytes = Buffer.alloc(0);
  const answered = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes.subarray(-token.length), chunk]);
      if (bytes.includes(token)) resolve();
    });
  });
  socket.write(frame(frameType.ping, flag.none, 0, token));
  await within(10_000, 'the answer to a ping', Promise.race([answered, closed]));
}

function open(stream: number, path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return frame(frameType.headers, flag.endHeaders, stream, callHeaders(path, more));
}

/** Each connection opens so many streams, none of which says what it wants. */
function streams(connections: number, each: number, more: Readonly<Record<string, string>> = {}): Attack {
  return {
    begin: async (t) => {
      const all = await peers(t, connections, mallory);
      for (const peer of all)
        peer.begin(...Array.from({ length: each }, (_, at) => open(2 * at + 1, whoAmI, more)));
      await Promise.all(all.map(heard));
    },
  };
}

const together = 250;

/** So many that say half of their first word. */
function halfHandshakes(count: number): Attack {
  return {
    begin: async (t) => {
      const over = count - defaultLimits.newcomers;
      const roomMade = Promise.withResolvers<void>();
      let closed = 0;
      const onClose = (): void => {
        if (++closed === over) roomMade.resolve();
      };
      // As many together as the kernel keeps for whoever listens: it has the others try again in a second.
      for (let left = count; left > 0; left -= together) {
        const some = Array.from({ length: Math.min(together, left) }, () => halfHandshake(t));
        for (const socket of some) socket.once('close', onClose);
        await within(10_000, 'their connections', Promise.all(some.map((socket) => once(socket, 'connect'))));
      }
      // Long before any of them has taken too long.
      await within(defaultLimits.handshakeMs / 2, 'room for the newest', roomMade.promise);
    },
  };
}

function halfHandshake(t: TestContext): Socket {
  const socket = connectPlain(Number(fleet.address.split(':')[1]), '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => undefined).resume();
  socket.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]));
  return socket;
}

/** Messages that begin and do not end, as much of them as a user’s windows take. */
function slowPeers(connections: number): Attack {
  return {
    begin: async (t) => {
      const all = await peers(t, connections, mallory);
      const data = frame(
        frameType.data,
        flag.none,
        1,
        Buffer.concat([framing(4_000_000), Buffer.alloc(16_000)]),
      );
      const more = frame(frameType.data, flag.none, 1, Buffer.alloc(16_000));
      for (const peer of all) peer.begin(open(1, whoAmI), data, ...Array.from({ length: 60 }, () => more));
      await Promise.all(all.map(heard));
    },
  };
}

/** Headers that do not end, of strangers and of a user. */
function endlessHeaders(connections: number): Attack {
  return {
    begin: async (t) => {
      const all = [...(await peers(t, connections)), ...(await peers(t, connections, mallory))];
      const field = callHeaders('/x', { 'x-more': 'y'.repeat(8_000) });
      for (const [at, peer] of all.entries()) {
        const path = at < connections ? login : whoAmI;
        peer.begin(
          frame(frameType.headers, flag.none, 1, callHeaders(path)),
          ...Array.from({ length: 7 }, () => frame(frameType.continuation, flag.none, 1, field)),
        );
      }
    },
  };
}

describe('a crowd', () => {
  test('of five thousand streams of one user over many connections leaves the others served, in bounded memory', async (t) => {
    const { peakMb } = await under(t, [streams(100, 50)]);
    assert.ok(peakMb < mostMb, `${peakMb} MB`);
  });

  test('of three thousand half handshakes leaves the others served, in bounded memory', async (t) => {
    const { peakMb } = await under(t, [halfHandshakes(3_000)]);
    assert.ok(peakMb < mostMb, `${peakMb} MB`);
  });

  test('of all of them at once leaves the others served, in bounded memory', async (t) => {
    const large = { 'x-much': 'x'.repeat(15_000) };
    const { peakMb } = await under(t, [
      streams(50, 100),
      streams(20, 250, large),
      slowPeers(40),
      endlessHeaders(20),
      halfHandshakes(3_000),
    ]);
    assert.ok(peakMb < mostMb, `${peakMb} MB`);
  });
});
