import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isSystemError, KomposeError } from '../common/errors.ts';
import type { RunEvent } from '../common/task-event.ts';
import { StdinPump } from '../common/stdin-pump.ts';
import { decodeRunEvent } from '../proto/event-codec.ts';
import {
  decodeFrames,
  encodeFrame,
  type LocalFrame,
  type LocalRequest,
  type Resumption,
} from '../proto/local-link.ts';
import type { LocalIo } from './follow-local.ts';

/** How long a hook waits for an agent that is away: hooks go on without it, and it may be at its upgrade. */
const awayMs = 30_000;
const pauseMs = 100;

/**
 * Has the agent behind a socket run something, and hands on its events, our stdin and our terminal. A hook whose agent goes
 * away follows its run at the next one, from where it was. Throws what the agent answers, `controller-unreachable` if it is
 * not there (to a hook only after a while), `failed` if it goes away, and to a hook does not come back.
 */
export async function runByAgent(path: string, request: LocalRequest, io: LocalIo): Promise<void> {
  const patienceMs = request.parentTask === undefined ? 0 : awayMs;
  let socket = await connectTo(path, { patienceMs, signal: io.stop });
  const send = (frame: LocalFrame): void => {
    if (socket.writable) socket.write(encodeFrame(frame));
  };
  const cancel = (): void => send({ kind: 'cancel' });
  io.stop.addEventListener('abort', cancel, { once: true });
  io.kill.addEventListener('abort', () => socket.destroy(), { once: true });
  send({ kind: 'request', value: request });
  io.onResize((value) => send({ kind: 'resize', value }));
  const pump = io.stdin === undefined ? undefined : new StdinPump(io.stdin);
  const give = (value: Uint8Array, isEnd: boolean): void =>
    send(isEnd ? { kind: 'stdin-end' } : { kind: 'stdin', value });
  const progress = new SeenEvents();
  for (let isBack = false; ; isBack = true) {
    if (io.stop.aborted) cancel();
    for await (const frame of framesOf(socket)) {
      if (frame.kind === 'taken') pump?.progress(frame.value, give);
      else if (frame.kind === 'failed') throw isBack ? agentEnded(frame.value) : frame.value;
      else if (frame.kind === 'event') {
        const event = decodeRunEvent(frame.value);
        progress.note(event);
        await io.onEvent(event);
        if (event.event.type === 'run.finished') return;
      }
    }
    if (io.kill.aborted) return;
    const { resumption } = progress;
    if (request.parentTask === undefined || resumption === undefined) throw agentEnded();
    socket = await connectTo(path, { patienceMs, signal: io.kill }).catch((error: unknown) => {
      throw agentEnded(error);
    });
    send({ kind: 'resume', value: resumption });
  }
}

function agentEnded(cause?: unknown): KomposeError {
  const message =
    'the agent of this host ended before the command did, which the next one reports: kompose runs ls tells what becomes of it';
  return new KomposeError('failed', message, { cause });
}

/** How far we have been told of a run. */
class SeenEvents {
  #run: string | undefined;
  #seen: number[] = [];

  /** What another agent is to go on with; undefined before the run has begun. */
  get resumption(): Resumption | undefined {
    return this.#run === undefined ? undefined : { run: this.#run, seen: this.#seen };
  }

  note(event: RunEvent): void {
    if (event.event.type === 'run.started') {
      this.#run = event.event.run;
      this.#seen = event.event.targets.map(() => 0);
    }
    if ('taskSeq' in event) this.#seen[event.task - 1] = event.taskSeq;
  }
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
