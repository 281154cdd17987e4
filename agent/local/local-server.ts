import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { KomposeError } from '../../common/errors.ts';
import { decodeFrames, encodeFrame, type LocalFrame } from '../../proto/local-link.ts';
import { send } from '../../proto/streams.ts';
import type { TaskStdin } from '../tasks/task-stdin.ts';
import { awaitCallers, resumeLocally } from './resume-locally.ts';
import { runLocally, type LocalCaller, type LocalHost } from './run-locally.ts';

/** A socket's path is short: at most 107 bytes. */
const maxPathBytes = 107;
const requestTimeoutMs = 10_000;
/** How long callers have to hear of the end of their runs when the agent stops. */
const farewellMs = 2_000;

/** Where the agent with this private folder listens; a folder too deep for that gets a short name in the temp folder. */
export function localSocketPath(folder: string): string {
  const path = join(folder, 'local.sock');
  if (Buffer.byteLength(path) <= maxPathBytes) return path;
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  return join(tmpdir(), `kompose-${name}.sock`);
}

export interface LocalServer {
  /** Takes no more calls. */
  close(): void;
  /** Resolves when those that were taken have been answered, or their callers take too long to hear it. */
  answered(): Promise<void>;
}

/** Serves `kompose.sh` on a Unix socket in the agent's private folder: who can connect is this user or root. */
export async function serveLocally(socketPath: string, host: LocalHost, log: Logger): Promise<LocalServer> {
  rmSync(socketPath, { force: true });
  awaitCallers(host);
  const calls = new Set<Promise<void>>();
  const server = createServer((socket) => {
    const call = new LocalCall(socket, host)
      .serve()
      .catch((error: unknown) => log.error({ err: error }, 'a local request met a bug'))
      .finally(() => calls.delete(call));
    calls.add(call);
  });
  server.listen(socketPath);
  await once(server, 'listening');
  chmodSync(socketPath, 0o600);
  return {
    close: () => void server.close(),
    answered: async () => {
      await Promise.race([Promise.all(calls), delay(farewellMs, undefined, { ref: false })]);
    },
  };
}

/*
 * One call of kompose.sh.
 *
 * INVARIANT: what the caller sends is always read on (it keeps within the window by itself), so that its going away is
 * seen at once.
 */
class LocalCall {
  readonly #socket: Socket;
  readonly #host: LocalHost;
  readonly #gone = new AbortController();
  readonly #cancelled = new AbortController();
  #running: Promise<void> | undefined;
  #stdin: TaskStdin | undefined;
  #received = 0;

  constructor(socket: Socket, host: LocalHost) {
    this.#socket = socket;
    this.#host = host;
    socket.on('error', () => this.#gone.abort());
    socket.on('close', () => this.#gone.abort());
  }

  /** Resolves when the connection and what it asked for are over. Rejects for a bug only. */
  async serve(): Promise<void> {
    const late = setTimeout(() => this.#socket.destroy(), requestTimeoutMs);
    try {
      for await (const frame of decodeFrames(this.#socket)) {
        clearTimeout(late);
        this.#take(frame);
      }
    } catch (error) {
      if (error instanceof KomposeError) this.#fail(error);
    } finally {
      clearTimeout(late);
      this.#gone.abort();
    }
    await this.#running;
  }

  #take(frame: LocalFrame): void {
    if (frame.kind === 'request')
      this.#running ??= this.#run((caller) => runLocally(frame.value, this.#host, caller));
    else if (frame.kind === 'resume')
      this.#running ??= this.#run((caller) => resumeLocally(frame.value, this.#host, caller));
    else if (frame.kind === 'cancel') this.#cancelled.abort();
    else if (frame.kind === 'resize') this.#stdin?.resize(frame.value);
    else if (frame.kind === 'stdin') this.#give(frame.value, false);
    else if (frame.kind === 'stdin-end') this.#give(new Uint8Array(), true);
  }

  #give(data: Uint8Array, isEnd: boolean): void {
    this.#stdin?.receive({ offset: this.#received, data, isEnd });
    this.#received += data.length;
  }

  async #run(serve: (caller: LocalCaller) => Promise<void>): Promise<void> {
    try {
      await serve({
        send: (value) => this.#send({ kind: 'event', value }),
        takeStdin: (stdin) => {
          this.#stdin = stdin;
          stdin.reportTo((value) => this.#socket.write(encodeFrame({ kind: 'taken', value })));
        },
        gone: this.#gone.signal,
        cancelled: this.#cancelled.signal,
      });
      this.#socket.end();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const value = KomposeError.from(error);
    this.#socket.end(encodeFrame({ kind: 'failed', value }));
    if (value.code === 'internal' && !this.#gone.signal.aborted) throw error;
  }

  #send(frame: LocalFrame): Promise<void> {
    return send(this.#socket, encodeFrame(frame), this.#gone.signal);
  }
}
