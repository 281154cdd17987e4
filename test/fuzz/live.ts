import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import type { Client } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { createLog } from '../../common/log.ts';
import { identityCredentials, type Identity } from '../../proto/enrol.ts';
import { within } from '../integration/controller/inbox.ts';
import { TestController } from '../integration/controller/test-controller.ts';
import { anonymous, ask, clientWith, serves } from '../security/ask.ts';
import { allMethods } from '../security/methods.ts';
import { callHeaders, flag, frame, frameType, preface, RawPeer } from '../security/raw-peer.ts';
import { hostileBytes } from './hostile.ts';

/** What the controller may grow by while all this comes, in this process with its clients. */
const mostGrowth = 400 * 1024 * 1024;
const unhurried = { openCalls: 10_000, callsPerSecond: 1_000_000, burst: 1_000_000 };
/** Slow machines need some of it to log in. */
const newcomerMs = 4_000;

/** Who says something: nobody, a host, a user. */
type Callers = readonly (Identity | undefined)[];

/**
 * So many inputs of each kind against the live port, the same for the same seed; gives how many there were. The
 * controller still serves after them, has met no bug, and has not grown.
 */
export async function fuzzLivePort(t: TestContext, count: number, seed: number): Promise<number> {
  const bugs: string[] = [];
  const log = createLog('controller', {
    write: (line) => void (/met a bug/.test(line) ? bugs.push(line) : undefined),
  });
  const peers = { stranger: unhurried, user: unhurried, host: unhurried, enrolment: unhurried };
  const controller = await TestController.start(t, { limits: { ...peers, newcomerMs } }, log);
  const callers = [undefined, await controller.host('prod-1'), (await controller.admin()).identity];
  const before = process.memoryUsage().rss;
  await beforeTls(controller, count, seed);
  await insideTls(t, controller, callers, { count, seed });
  await calls(controller, callers, { count, seed });
  await serves(controller);
  if (bugs.length > 0) throw new Error(bugs.join('\n'));
  const growth = process.memoryUsage().rss - before;
  if (growth > mostGrowth) throw new Error(`it grew by ${growth} bytes`);
  return count + 2 * count * callers.length + count * callers.length;
}

/** Inputs that fast-check makes, some at a time. */
async function each<Input>(
  inputs: fc.Arbitrary<Input>,
  { count, seed }: { count: number; seed: number },
  take: (input: Input) => Promise<void>,
): Promise<void> {
  const all = fc.sample(inputs, { numRuns: count, seed });
  const atOnce = 20;
  for (let at = 0; at < all.length; at += atOnce) await Promise.all(all.slice(at, at + atOnce).map(take));
}

async function beforeTls({ port }: TestController, count: number, seed: number): Promise<void> {
  const clientHello = Buffer.from('16030100c8010000c40303', 'hex');
  await each(hostileBytes([clientHello, preface]), { count, seed }, async (bytes) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    const closed = new Promise((resolve) => void socket.once('close', resolve));
    socket.end(bytes);
    await within(5_000, 'the end of a connection', closed);
  });
}

const someFrame = fc
  .tuple(fc.nat(12), fc.nat(255), fc.oneof(fc.nat(5), fc.nat(2 ** 31 - 1)), fc.uint8Array({ maxLength: 200 }))
  .map(([type, flags, stream, payload]) => frame(type, flags, stream, payload));
const openCall = fc
  .tuple(fc.constantFrom(...allMethods.map(({ path }) => path)), fc.integer({ min: 0, max: 3 }))
  .map(([path, at]) => frame(frameType.headers, flag.endHeaders, at * 2 + 1, callHeaders(path)));
const frames = fc.array(fc.oneof(someFrame, openCall), { maxLength: 10 }).map((some) => Buffer.concat(some));

/** Bytes, then frames, by each. */
async function insideTls(
  t: TestContext,
  { port }: TestController,
  callers: Callers,
  amount: { count: number; seed: number },
): Promise<void> {
  const settings = frame(frameType.settings, flag.none, 0, Buffer.alloc(0));
  const valid = Buffer.concat([preface, settings]);
  for (const caller of callers) {
    const say = async (bytes: Uint8Array): Promise<void> => {
      const peer = await RawPeer.connect(t, port, caller);
      peer.socket.end(bytes);
      await within(5_000, 'the end of a connection', peer.closed);
    };
    await each(hostileBytes([valid]), amount, say);
    await each(frames, amount, (some) => say(Buffer.concat([valid, some])));
  }
}

/** Messages that are none, or nearly one, to every method. */
async function calls(
  controller: TestController,
  callers: Callers,
  amount: { count: number; seed: number },
): Promise<void> {
  const inputs = fc.tuple(
    fc.constantFrom(...allMethods),
    hostileBytes([Buffer.from([10, 2, 10, 0, 18, 1, 65, 24, 5])]),
  );
  for (const caller of callers) {
    const client = clientOf(controller, caller);
    await each(inputs, amount, async ([method, bytes]) => {
      await ask(client, method, bytes);
    });
  }
}

function clientOf(controller: TestController, caller: Identity | undefined): Client {
  return caller === undefined ? anonymous(controller) : clientWith(controller, identityCredentials(caller));
}
