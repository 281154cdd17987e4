import { KomposeError } from '../../common/errors.ts';
import { record, type Actor } from '../audit/audit.ts';
import { findUser } from '../identity/directory.ts';
import type { Store } from '../store/store.ts';
import { clientAddress, requirePeer, requireProtocol } from './peer.ts';

type Call = Parameters<typeof requirePeer>[0];

/** Who calls, and whether they may. */
export class Callers {
  readonly #store: Store;
  readonly #clock: () => number;

  constructor(store: Store, clock: () => number) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Any user. Throws `unauthenticated`, and `protocol` for a client of another version. */
  async user(call: Call): Promise<Actor> {
    requireProtocol(call);
    return findUser(this.#store, requirePeer(call, 'user'));
  }

  /** An admin; anybody else is refused with `denied`, which is recorded. `what` is what they ask for. */
  async admin(call: Call, what: string): Promise<Actor> {
    const actor = await this.user(call);
    if (actor.role === 'admin') return actor;
    const reason = `${what} needs the role admin; yours is ${actor.role}`;
    const entry = { type: 'request.denied', actor, clientAddress: clientAddress(call), reason } as const;
    await this.#store.write((transaction) => record(transaction, this.#clock(), entry));
    throw new KomposeError('denied', reason);
  }
}
