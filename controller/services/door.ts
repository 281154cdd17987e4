import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { KomposeError } from '../../common/errors.ts';
import type { Limits } from './limits.ts';

type DoorLimits = Pick<
  Limits,
  'newcomerMs' | 'newcomers' | 'waiting' | 'connectionsPerCertificate' | 'keepaliveMs' | 'keepaliveAnswerMs'
>;

/** How long whoever is expelled may be told why. */
const lastWordsMs = 250;

/** So many are let in before those who are in are served on. */
const letInATurn = 8;
const lookMs = 250;
/** Who has sent nothing from one look to the next but one lingers. */
const quietLooks = 2;
/** Who is not known by then lingers, whatever they send. */
const lingeringMs = 5_000;

/**
 * Between two looks at those who are known each of them is asked whether it is alive. The first may come at once; no answer
 * to two questions is too few.
 */
const silentLooks = 3;

interface Known {
  readonly socket: Socket;
  /** Bytes that had come at the last look, and how many looks ago that was so. */
  bytes: number;
  looks: number;
}

interface Newcomer extends Known {
  readonly deadline: NodeJS.Timeout;
  readonly sinceMs: number;
}

/*
 * The port that the controller listens on.
 *
 * INVARIANTS
 * - A connection waits, unread, until it is let in: in the order in which they came, few a turn, so that those who are in
 *   are served on however many come. A storm of agents that come back queues.
 * - A connection is a newcomer from then until it is known or closed; a newcomer has a deadline.
 * - There are never more newcomers than the limit. Where others wait, those who linger make room, the oldest first: they
 *   have sent nothing for a while, or have been here for longer than anybody takes who knows their way. So nobody keeps
 *   the others out by being slow.
 * - There are never more who wait than the limit: the next is cut.
 * - Nobody is known over more connections than the limit: those beyond it stay newcomers.
 * - Nobody who is known stays without a word: gRPC asks each connection whether it is alive, and whoever has sent nothing
 *   for longer than that takes is cut. gRPC ends such a session, but Node closes its socket only once all that is being
 *   written has been, which never is where the peer has gone or does not read.
 */
export class Door {
  readonly #limits: DoorLimits;
  readonly #admit: (socket: Socket) => void;
  readonly #newcomers = new Map<string, Newcomer>();
  readonly #waiting = new Set<Socket>();
  #isLettingIn = false;
  #looking: NodeJS.Timeout | undefined;
  /** Connections by certificate. */
  readonly #known = new Map<string, Map<string, Known>>();
  #lookingForSilent: NodeJS.Timeout | undefined;
  readonly #server: Server;

  /** `admit` takes over each connection, as it came. */
  constructor(limits: DoorLimits, admit: (socket: Socket) => void) {
    this.#limits = limits;
    this.#admit = admit;
    const options = { noDelay: true, keepAlive: true, pauseOnConnect: true };
    this.#server = createServer(options, (socket) => this.#queue(socket));
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
    const { keepaliveMs, keepaliveAnswerMs } = this.#limits;
    this.#lookingForSilent = setInterval(() => this.#cutTheSilent(), keepaliveMs + keepaliveAnswerMs).unref();
    return address.port;
  }

  /** The connection from this ADDR:PORT has shown this certificate: it may stay. Throws `too-many-requests`. */
  knows(peer: string, certificate: string): void {
    const newcomer = this.#newcomers.get(peer);
    if (newcomer === undefined) return;
    const connections = this.#known.get(certificate) ?? new Map<string, Known>();
    if (connections.size >= this.#limits.connectionsPerCertificate) {
      const message = `${connections.size} connections of yours are open already: close some, then try again`;
      throw new KomposeError('too-many-requests', message);
    }
    const { socket, deadline } = newcomer;
    clearTimeout(deadline);
    this.#newcomers.delete(peer);
    this.#letInSoon();
    // Whose port another connection has now is gone, though Node was not told.
    connections.get(peer)?.socket.destroy();
    this.#known.set(certificate, connections.set(peer, { socket, bytes: socket.bytesRead, looks: 0 }));
    socket.once('close', () => {
      if (connections.get(peer)?.socket === socket) connections.delete(peer);
      if (connections.size === 0 && this.#known.get(certificate) === connections)
        this.#known.delete(certificate);
    });
  }

  /** Cuts the connection from this ADDR:PORT, with all that waits for it to be read. */
  cut(peer: string, certificate: string): void {
    this.#known.get(certificate)?.get(peer)?.socket.destroy();
  }

  /** These certificates are good no more: their connections end, once what was said to them has had time to arrive. */
  expel(certificates: readonly string[]): void {
    const known = certificates.flatMap((each) => [...(this.#known.get(each)?.values() ?? [])]);
    setTimeout(() => {
      for (const { socket } of known) socket.destroy();
    }, lastWordsMs).unref();
  }

  /** Takes no more connections and cuts those that stand: grpc-js knows its own only where it traces them. */
  close(): void {
    this.#server.close();
    clearInterval(this.#looking);
    clearInterval(this.#lookingForSilent);
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting.clear();
    for (const { socket } of this.#newcomers.values()) socket.destroy();
    for (const connections of this.#known.values())
      for (const { socket } of connections.values()) socket.destroy();
  }

  #queue(socket: Socket): void {
    if (this.#waiting.size >= this.#limits.waiting) {
      socket.destroy();
      return;
    }
    this.#waiting.add(socket);
    socket.once('close', () => this.#waiting.delete(socket));
    this.#letInSoon();
  }

  #letInSoon(): void {
    if (this.#isLettingIn || this.#waiting.size === 0) return;
    this.#isLettingIn = true;
    setImmediate(() => {
      this.#isLettingIn = false;
      this.#letSomeIn();
    });
  }

  #letSomeIn(): void {
    let left = letInATurn;
    for (const socket of this.#waiting) {
      if (left-- === 0) {
        this.#letInSoon();
        return;
      }
      if (!this.#hasRoom()) return;
      this.#waiting.delete(socket);
      // Reset while it waited: it has no address to know it by.
      if (socket.remoteAddress === undefined) socket.destroy();
      else {
        this.#await(socket);
        this.#admit(socket);
      }
    }
  }

  /** Whoever lingers goes at once: many may come before a socket says that it is closed. */
  #hasRoom(): boolean {
    if (this.#newcomers.size < this.#limits.newcomers) return true;
    this.#looking ??= setInterval(() => this.#look(), lookMs).unref();
    const nowMs = performance.now();
    for (const [peer, { socket, deadline, sinceMs, looks }] of this.#newcomers) {
      if (looks < quietLooks && nowMs - sinceMs < lingeringMs) continue;
      clearTimeout(deadline);
      this.#newcomers.delete(peer);
      socket.destroy();
      return true;
    }
    return false;
  }

  /** As long as there is no room, notes who is quiet. */
  #look(): void {
    for (const newcomer of this.#newcomers.values()) lookAt(newcomer);
    this.#letInSoon();
    if (this.#newcomers.size >= this.#limits.newcomers) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
  }

  #cutTheSilent(): void {
    for (const connections of this.#known.values()) {
      for (const known of connections.values()) {
        lookAt(known);
        if (known.looks >= silentLooks) known.socket.destroy();
      }
    }
  }

  #await(socket: Socket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const deadline = setTimeout(() => socket.destroy(), this.#limits.newcomerMs);
    this.#newcomers.set(peer, { socket, deadline, sinceMs: performance.now(), bytes: 0, looks: 0 });
    socket.once('close', () => {
      clearTimeout(deadline);
      if (this.#newcomers.get(peer)?.socket === socket) this.#newcomers.delete(peer);
      this.#letInSoon();
    });
  }
}

function lookAt(seen: Known): void {
  const { bytesRead } = seen.socket;
  seen.looks = bytesRead === seen.bytes ? seen.looks + 1 : 0;
  seen.bytes = bytesRead;
}
