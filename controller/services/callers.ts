import { KomposeError } from '../../common/errors.ts';
import { headOf } from '../../proto/audit-head-metadata.ts';
import { trustIn } from '../../proto/trust.ts';
import type { Actor } from '../audit/audit.ts';
import type { AuditNotary } from '../audit/audit-notary.ts';
import { findUser, noteTrust } from '../identity/directory.ts';
import type { Store } from '../store/store.ts';
import type { FleetServiceDeps } from './fleet-context.ts';
import { clientAddress, requirePeer, requireProtocol } from './peer.ts';

type Call = Parameters<typeof requirePeer>[0];

/** Who calls, and whether they may. */
export class Callers {
  readonly #store: Store;
  readonly #notary: AuditNotary;

  constructor({ store, notary }: Pick<FleetServiceDeps, 'store' | 'notary'>) {
    this.#store = store;
    this.#notary = notary;
  }

  /**
   * Any user. Takes the head of the audit that they present, and notes whom they trust. Throws `unauthenticated`, and
   * `protocol` for a client of another version.
   */
  async user(call: Call): Promise<Actor> {
    requireProtocol(call);
    const peer = requirePeer(call, 'user');
    const actor = await findUser(this.#store, peer);
    const trusts = trustIn(call.metadata);
    if (trusts !== undefined) await noteTrust(this.#store, peer.name, trusts);
    const seen = headOf(call.metadata);
    if (seen !== undefined) await this.#notary.present(seen, { actor, clientAddress: clientAddress(call) });
    return actor;
  }

  /** An admin; anybody else is refused with `denied`. `what` is what they ask for. */
  async admin(call: Call, what: string): Promise<Actor> {
    const actor = await this.user(call);
    if (actor.role === 'admin') return actor;
    throw new KomposeError('denied', `${what} needs the role admin; yours is ${actor.role}`);
  }
}
