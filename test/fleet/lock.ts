import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Runs `body` while no other caller on this machine, in this process or another, holds the lock `name`.
 *
 * The lock is an abstract Unix socket that its holder listens on: the kernel frees it when the holder dies,
 * whatever killed it, so there is no stale lock to detect. Waiters connect and wait for the hang-up.
 * An abort of `signal` ends the waiting, never `body`.
 */
export async function withLock<T>(name: string, body: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  const release = await tryAcquire(`\0kompose-${name}`);
  if (release === undefined) {
    await untilReleased(`\0kompose-${name}`, signal);
    return withLock(name, body, signal);
  }
  try {
    return await body();
  } finally {
    release();
  }
}

async function tryAcquire(path: string): Promise<(() => void) | undefined> {
  const server = createServer();
  const waiters = trackWaiters(server);
  try {
    server.listen(path);
    await once(server, 'listening');
  } catch (error) {
    if (isAddressInUse(error)) return undefined;
    throw error;
  }
  return () => {
    server.close();
    for (const waiter of waiters) waiter.destroy();
  };
}

function trackWaiters(server: Server): Set<Socket> {
  const waiters = new Set<Socket>();
  server.on('connection', (socket) => {
    waiters.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => waiters.delete(socket));
  });
  return waiters;
}

async function untilReleased(path: string, signal: AbortSignal | undefined): Promise<void> {
  const socket = connect(path);
  socket.on('error', () => {}); // refused or reset: released as well
  socket.resume();
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('close', () => resolve());
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  } finally {
    socket.destroy();
  }
}

function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
