import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { KomposeError } from '../../common/errors.ts';
import type { Limits } from './limits.ts';

type DoorLimits = Pick<Limits, 'newcomerMs' | 'newcomers' | 'connectionsPerCertificate'>;

/** How long whoever is expelled may be told why. */
const lastWordsMs = 250;

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
 * - Nobody is known over more connections than the limit: those beyond it stay newcomers.
 */
export class Door {
  readonly #limits: DoorLimits;
  readonly #newcomers = new Map<string, Newcomer>();
  /** Connections by certificate. */
  readonly #known = new Map<string, Map<string, Socket>>();
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

  /** The connection from this ADDR:PORT has shown this certificate: it may stay. Throws `too-many-requests`. */
  knows(peer: string, certificate: string): void {
    const newcomer = this.#newcomers.get(peer);
    if (newcomer === undefined) return;
    const connections = this.#known.get(certificate) ?? new Map<string, Socket>();
    if (connections.size >= this.#limits.connectionsPerCertificate) {
      const message = `${connections.size} connections of yours are open already: close some, then try again`;
      throw new KomposeError('too-many-requests', message);
    }
    const { socket, deadline } = newcomer;
    clearTimeout(deadline);
    this.#newcomers.delete(peer);
    this.#known.set(certificate, connections.set(peer, socket));
    socket.once('close', () => {
      connections.delete(peer);
      if (connections.size === 0 && this.#known.get(certificate) === connections)
        this.#known.delete(certificate);
    });
  }

  /** Cuts the connection from this ADDR:PORT, with all that waits for it to be read. */
  cut(peer: string, certificate: string): void {
    this.#known.get(certificate)?.get(peer)?.destroy();
  }

  /** These certificates are good no more: their connections end, once what was said to them has had time to arrive. */
  expel(certificates: readonly string[]): void {
    const sockets = certificates.flatMap((each) => [...(this.#known.get(each)?.values() ?? [])]);
    setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, lastWordsMs).unref();
  }

  /** Takes no more connections and cuts those that stand: grpc-js knows its own only where it traces them. */
  close(): void {
    this.#server.close();
    for (const { socket } of this.#newcomers.values()) socket.destroy();
    for (const connections of this.#known.values())
      for (const socket of connections.values()) socket.destroy();
  }

  /** At once: many may come before a socket says that it is closed. */
  #makeRoom(): void {
    const [oldest] = this.#newcomers;
    if (oldest === undefined) return;
    const [peer, { socket, deadline }] = oldest;
    clearTimeout(deadline);
    this.#newcomers.delete(peer);
    socket.destroy();
  }

  #await(socket: Socket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    if (this.#newcomers.size >= this.#limits.newcomers) this.#makeRoom();
    const deadline = setTimeout(() => socket.destroy(), this.#limits.newcomerMs);
    this.#newcomers.set(peer, { socket, deadline });
    socket.once('close', () => {
      clearTimeout(deadline);
      if (this.#newcomers.get(peer)?.socket === socket) this.#newcomers.delete(peer);
    });
  }
}
