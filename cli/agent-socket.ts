import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isSystemError, KomposeError } from '../common/errors.ts';
import { StdinPump } from '../common/stdin-pump.ts';
import { decodeRunEvent } from '../proto/event-codec.ts';
import { decodeFrames, encodeFrame, type LocalFrame, type LocalRequest } from '../proto/local-link.ts';
import type { LocalIo } from './follow-local.ts';

/** How long a hook waits for an agent that is away: hooks go on without it, and it may be at its upgrade. */
const awayMs = 30_000;
const pauseMs = 100;

/**
 * Has the agent behind a socket run something, and hands on its events, our stdin and our terminal. Throws what the
 * agent answers, `controller-unreachable` if it is not there (to a hook only after a while), `failed` if it goes away.
 */
export async function runByAgent(path: string, request: LocalRequest, io: LocalIo): Promise<void> {
  const patienceMs = request.parentTask === undefined ? 0 : awayMs;
  const socket = await connectTo(path, { patienceMs, signal: io.stop });
  const send = (frame: LocalFrame): void => {
    if (socket.writable) socket.write(encodeFrame(frame));
  };
  const cancel = (): void => send({ kind: 'cancel' });
  io.stop.addEventListener('abort', cancel, { once: true });
  io.kill.addEventListener('abort', () => socket.destroy(), { once: true });
  send({ kind: 'request', value: request });
  if (io.stop.aborted) cancel();
  io.onResize((value) => send({ kind: 'resize', value }));
  const pump = io.stdin === undefined ? undefined : new StdinPump(io.stdin);
  const give = (value: Uint8Array, isEnd: boolean): void =>
    send(isEnd ? { kind: 'stdin-end' } : { kind: 'stdin', value });
  for await (const frame of framesOf(socket)) {
    if (frame.kind === 'taken') pump?.progress(frame.value, give);
    else if (frame.kind === 'failed') throw frame.value;
    else if (frame.kind === 'event') {
      const event = decodeRunEvent(frame.value);
      await io.onEvent(event);
      if (event.event.type === 'run.finished') return;
    }
  }
  if (io.kill.aborted) return;
  const message =
    'the agent of this host ended before the command did, which the next one reports: kompose runs ls tells what becomes of it';
  throw new KomposeError('failed', message);
}

/** A connection that breaks off ends like one that is closed. */
async function* framesOf(socket: Socket): AsyncGenerator<LocalFrame> {
  try {
    yield* decodeFrames(socket);
  } catch (error) {
    if (error instanceof KomposeError) throw error;
  }
}

async function connectTo(
  path: string,
  { patienceMs, signal }: { readonly patienceMs: number; readonly signal: AbortSignal },
): Promise<Socket> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await connectOnce(path);
    } catch (error) {
      const isOver = performance.now() > deadline || signal.aborted;
      if (KomposeError.from(error).code !== 'controller-unreachable' || isOver) throw error;
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function connectOnce(path: string): Promise<Socket> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    socket.on('error', () => undefined);
    return socket;
  } catch (error) {
    if (isSystemError(error, 'EACCES')) {
      const message = 'the agent of this host takes commands from its own user and from root only';
      throw new KomposeError('denied', message, { cause: error });
    }
    const message = `the agent of this host is not running (${path}): kompose agent serve`;
    throw new KomposeError('controller-unreachable', message, { cause: error });
  }
}
