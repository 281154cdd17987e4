import { createHash } from 'node:crypto';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Logger } from 'pino';
import { KomposeError } from '../../common/errors.ts';
import { encodeFrame, type Frame } from './frames.ts';
import { parseRequest } from './local-request.ts';
import { runLocally, type LocalHost } from './run-locally.ts';

/** A socket's path is short: at most 107 bytes. */
const maxPathBytes = 107;

/** Where the agent with this private folder listens; a folder too deep for that gets a short name in the temp folder. */
export function localSocketPath(folder: string): string {
  const path = join(folder, 'local.sock');
  if (Buffer.byteLength(path) <= maxPathBytes) return path;
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  return join(tmpdir(), `kompose-${name}.sock`);
}

/**
 * Serves `kompose.sh` on a Unix socket in the agent's private folder: who can connect is this user or root. One line
 * of JSON asks, frames answer, the last one is the exit code. A caller that goes away cancels what it asked for.
 */
export async function serveLocally(socketPath: string, host: LocalHost, log: Logger): Promise<Server> {
  rmSync(socketPath, { force: true });
  const server = createServer((socket) => {
    answer(socket, host).catch((error: unknown) => log.error({ err: error }, 'a local request met a bug'));
  });
  server.listen(socketPath);
  await once(server, 'listening');
  chmodSync(socketPath, 0o600);
  return server;
}

async function answer(socket: Socket, host: LocalHost): Promise<void> {
  const gone = new AbortController();
  socket.on('error', () => gone.abort());
  socket.on('close', () => gone.abort());
  const send = (frame: Frame): void => {
    if (socket.writable) socket.write(encodeFrame(frame));
  };
  try {
    const [line] = await once(createInterface({ input: socket }), 'line', { signal: gone.signal });
    const exitCode = await runLocally(parseRequest(String(line)), host, send, gone.signal);
    send({ kind: 'exit', exitCode });
  } catch (error) {
    if (gone.signal.aborted) return;
    const known = KomposeError.from(error);
    send({ kind: 'stderr', data: Buffer.from(`kompose: ${known.message}\n`) });
    send({ kind: 'exit', exitCode: known.exitCode });
    if (known.code === 'internal') throw error;
  } finally {
    socket.end();
  }
}
