import { KomposeError } from '../../common/errors.ts';
import type { PeerLimits } from './limits.ts';
import { RateLimit } from './rate-limit.ts';

interface Visitor {
  readonly rate: RateLimit;
  open: number;
}

/** So many are remembered before those without an open call are forgotten. */
const remembered = 4_096;

/** Counts each peer's calls, and refuses those that are too many: of one peer, so that the others are served. */
export class Turnstile {
  readonly #visitors = new Map<string, Visitor>();

  /** Gives what to call once the call is over. Throws `too-many-requests`. */
  enter(peer: string, limits: PeerLimits): () => void {
    const visitor = this.#visitors.get(peer) ?? this.#welcome(peer, limits);
    visitor.rate.take('calls');
    if (visitor.open >= limits.openCalls) {
      const message = `${visitor.open} calls of yours are open already: end some, then try again`;
      throw new KomposeError('too-many-requests', message);
    }
    visitor.open++;
    return () => void visitor.open--;
  }

  #welcome(peer: string, { callsPerSecond, burst }: PeerLimits): Visitor {
    if (this.#visitors.size >= remembered) {
      for (const [name, { open }] of this.#visitors) if (open === 0) this.#visitors.delete(name);
    }
    const visitor = { rate: new RateLimit(callsPerSecond, burst), open: 0 };
    this.#visitors.set(peer, visitor);
    return visitor;
  }
}
