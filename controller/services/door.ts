import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { KomposeError } from '../../common/errors.ts';
import type { Limits } from './limits.ts';

type DoorLimits = Pick<Limits, 'newcomerMs' | 'newcomers'>;

interface Newcomer {
  readonly socket: Socket;
  readonly deadline: NodeJS.Timeout;
}

/*
 * The port that the controller listens on.
 *
 * INVARIANTS
 * - A connection is a newcomer from its first packet until it is known or closed; a newcomer has a deadline.
 * - There are never more newcomers than the limit: the oldest makes room. Those who know their way are known within
 *   a round trip or two, so that the oldest are those who linger.
 */
export class Door {
  readonly #limits: DoorLimits;
  readonly #newcomers = new Map<string, Newcomer>();
  readonly #server: Server;

  /** `admit` takes over each connection, as it came. */
  constructor(limits: DoorLimits, admit: (socket: Socket) => void) {
    this.#limits = limits;
    this.#server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
      this.#await(socket);
      admit(socket);
    });
  }

  get newcomers(): number {
    return this.#newcomers.size;
  }

  /** `where` is ADDR:PORT; gives the port. Throws `failed`. */
  async listen(where: string): Promise<number> {
    const colon = where.lastIndexOf(':');
    const host = where.slice(0, colon).replaceAll(/[[\]]/g, '');
    try {
      this.#server.listen(Number(where.slice(colon + 1)), host);
      await once(this.#server, 'listening');
    } catch (error) {
      const { message } = KomposeError.from(error);
      throw new KomposeError('failed', `cannot listen on ${where}: ${message}`, { cause: error });
    }
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return address.port;
  }

  /** The connection from this ADDR:PORT has shown a certificate: it may stay. */
  knows(peer: string): void {
    clearTimeout(this.#newcomers.get(peer)?.deadline);
    this.#newcomers.delete(peer);
  }

  /** Takes no more connections; those that are known stay. */
  close(): void {
    this.#server.close();
    for (const { socket } of this.#newcomers.values()) socket.destroy();
  }

  #await(socket: Socket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const [oldest] = this.#newcomers.values();
    if (this.#newcomers.size >= this.#limits.newcomers) oldest?.socket.destroy();
    const deadline = setTimeout(() => socket.destroy(), this.#limits.newcomerMs);
    this.#newcomers.set(peer, { socket, deadline });
    socket.once('close', () => {
      clearTimeout(deadline);
      if (this.#newcomers.get(peer)?.socket === socket) this.#newcomers.delete(peer);
    });
  }
}
