import { constants, type ServerHttp2Stream } from 'node:http2';
import { MessageEnds } from './message-ends.ts';

/** What a message costs beside its bytes. */
const messageOverhead = 256;

/** One stream of one peer; everything it holds is given back when it closes. */
class HeldStream {
  readonly #peer: Ledger;
  readonly #untaken: number[] = [];
  #held = 0;

  constructor(peer: Ledger) {
    this.#peer = peer;
  }

  add(bytes: number): void {
    this.#held += bytes;
    this.#peer.held += bytes;
  }

  /** A message is whole: it is held until it is taken. */
  arrived(bytes: number): void {
    this.add(messageOverhead);
    this.#untaken.push(bytes + messageOverhead);
  }

  /** The oldest message has been dealt with. */
  taken(): void {
    this.add(-(this.#untaken.shift() ?? 0));
  }

  close(): void {
    this.add(-this.#held);
    this.#untaken.length = 0;
  }
}

interface Ledger {
  held: number;
  streams: number;
}

/*
 * The bytes that the controller holds for a peer because one side is not ready: of messages that are not whole yet, of
 * those that nobody has taken yet, and of answers that the peer does not read.
 *
 * INVARIANTS
 * - They are counted for each certificate, over all its connections. The stream that goes over the bound is reset, so
 *   that the others of the peer go on.
 * - A stream that has closed holds nothing.
 */
export class HeldBytes {
  readonly #most: number;
  readonly #peers = new Map<string, Ledger>();
  readonly #streams = new Map<string, HeldStream>();
  #next = 0;

  /** `most` for each peer. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Of all peers. */
  get total(): number {
    return [...this.#peers.values()].reduce((sum, { held }) => sum + held, 0);
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Counts what this stream holds from now on; gives the name under which `taken` knows it. */
  follow(stream: ServerHttp2Stream, peer: string): string {
    const id = String(this.#next++);
    const ledger = this.#peers.get(peer) ?? { held: 0, streams: 0 };
    const held = new HeldStream(ledger);
    this.#peers.set(peer, ledger);
    this.#streams.set(id, held);
    ledger.streams++;
    const ifTooMuch = (): void => {
      if (ledger.held > this.#most) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    };
    countIncoming(stream, held, ifTooMuch);
    countAnswers(stream, held, ifTooMuch);
    stream.once('close', () => {
      held.close();
      this.#streams.delete(id);
      if (--ledger.streams === 0) this.#peers.delete(peer);
    });
    return id;
  }

  /** The oldest message of a stream has been dealt with. */
  taken(id: string | undefined): void {
    this.#streams.get(id ?? '')?.taken();
  }
}

function countIncoming(stream: ServerHttp2Stream, held: HeldStream, ifTooMuch: () => void): void {
  const ends = new MessageEnds();
  stream.on('data', (chunk: Buffer) => {
    if (stream.closed) return;
    held.add(chunk.length);
    for (const bytes of ends.push(chunk)) held.arrived(bytes);
    ifTooMuch();
  });
  stream.pause();
}

/** gRPC writes a message at a time and says what is to happen once it is on its way. */
function countAnswers(stream: ServerHttp2Stream, held: HeldStream, ifTooMuch: () => void): void {
  const write = stream.write.bind(stream) as (bytes: Buffer, done: Done) => boolean;
  const counted = (bytes: Buffer, done: Done): boolean => {
    held.add(bytes.length);
    const hasRoom = write(bytes, (error) => {
      if (!stream.closed) held.add(-bytes.length);
      done(error);
    });
    ifTooMuch();
    return hasRoom;
  };
  stream.write = counted as typeof stream.write;
}

type Done = (error?: Error | null) => void;
