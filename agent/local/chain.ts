import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { KomposeError } from '../../common/errors.ts';
import { runEmbedded } from '../embedded.ts';
import type { Target } from '../../common/task-event.ts';
import { allowedAgentEnv } from '../stacks/env-layers.ts';
import { embeddedParent } from './embedded-chain.ts';
import { toFrames } from './event-frames.ts';
import { decodeFrames, type Frame } from './frames.ts';
import { parseOrder, type LocalRequest } from './local-request.ts';

/** A call of `kompose.sh`. */
export interface ChainCall {
  readonly words: readonly string[];
  readonly user: string;
  readonly env: Readonly<Record<string, string>>;
  /** The stacks root. */
  readonly stacks: string;
  /** The agent's, if one keeps the script. */
  readonly socket?: string;
}

/**
 * `kompose.sh`: hands its words to this host's agent and shows what comes of them. In a hook of local mode, and where
 * local mode keeps the script, it runs them by itself. Returns the exit code.
 */
export async function chain(call: ChainCall): Promise<number> {
  const isEmbedded = call.socket === undefined || embeddedParent(call.env) !== undefined;
  return isEmbedded ? runHere(call) : askAgent(call.socket, call);
}

async function askAgent(path: string, { words, user, env }: ChainCall): Promise<number> {
  const socket = await connectTo(path);
  const request: LocalRequest = { words, user, parentTask: env['KOMPOSE_TASK_ID'] };
  socket.write(`${JSON.stringify(request)}\n`);
  for await (const frame of decodeFrames(socket)) {
    if (frame.kind === 'exit') return frame.exitCode;
    await print(frame);
  }
  throw new KomposeError('failed', 'the agent of this host ended before the command did');
}

async function runHere({ words, user, env, stacks }: ChainCall): Promise<number> {
  const parent = embeddedParent(env);
  const order = parseOrder(words);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  const leftMs = parent?.deadlineMs === undefined ? 0 : Math.max(1, parent.deadlineMs - Date.now());
  const timeoutMs =
    leftMs === 0 || order.timeoutMs === 0 ? leftMs + order.timeoutMs : Math.min(leftMs, order.timeoutMs);
  const inherited = { env: { ...parent?.env, ...order.env }, network: order.network ?? parent?.network };
  const own = { hosts: [], user: parent?.user ?? user, stdin: undefined, timeoutMs, chain: parent };
  let exitCode = 1;
  let targets: readonly Target[] = [];
  await runEmbedded(
    { ...order, ...inherited, ...own },
    // Of a hook's environment nothing else is inherited; its stack's variables least of all.
    { root: stacks, name: hostname(), env: allowedAgentEnv(env) },
    async (runEvent) => {
      const { event } = runEvent;
      if (event.type === 'run.started') targets = event.targets;
      else if (event.type === 'run.finished') exitCode = event.exitCode;
      else for (const frame of toFrames(targets[runEvent.task - 1]?.stack ?? '', event)) await print(frame);
    },
    stop.signal,
  );
  return exitCode;
}

async function print(frame: Frame): Promise<void> {
  if (frame.kind === 'exit') return;
  const stream = process[frame.kind];
  if (!stream.write(frame.data)) await once(stream, 'drain');
}

async function connectTo(socketPath: string): Promise<Socket> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    const message = `the agent of this host is not running (${socketPath}): kompose agent serve`;
    throw new KomposeError('controller-unreachable', message, { cause: error });
  }
}
