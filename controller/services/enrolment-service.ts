import type { EnrolmentServer } from '../../proto/gen/kompose/v1/enrolment.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { EnrolmentDesk } from '../identity/enrolment.ts';
import { findHostRow } from '../identity/directory.ts';
import type { Store } from '../store/store.ts';
import type { Handlers } from './handlers.ts';
import { clientAddress, requirePeer } from './peer.ts';
import type { RateLimit } from './rate-limit.ts';

interface EnrolmentDeps {
  readonly desk: EnrolmentDesk;
  readonly fleet: Fleet;
  readonly store: Store;
  readonly handlers: Handlers;
  /** The public one: SPKI DER, base64. */
  readonly auditKey: () => string;
  readonly limit: RateLimit;
  /** Ends the connections of certificates that are good no more. */
  readonly expel: (certificates: readonly string[]) => void;
}

/** The two calls for those who have no certificate yet, and the one that renews one; see enrolment.proto. */
export function enrolmentService({
  desk,
  fleet,
  store,
  handlers,
  auditKey,
  limit,
  expel,
}: EnrolmentDeps): EnrolmentServer {
  return {
    join: handlers.unary(async (call) => {
      limit.take('joins and logins');
      const { tokenSecret: secret, name, labels, certificateRequest } = call.request;
      const caller = { clientAddress: clientAddress(call) };
      const { replaced, ...joined } = await desk.join({ secret, name, labels, certificateRequest }, caller);
      fleet.join(await findHostRow(store, name));
      expel(replaced);
      return joined;
    }),
    login: handlers.unary(async (call) => {
      limit.take('joins and logins');
      const { tokenSecret: secret, name, certificateRequest } = call.request;
      const rosterEntry = call.request.rosterEntry ?? { body: '', signature: '' };
      const caller = { clientAddress: clientAddress(call) };
      const answer = await desk.login({ secret, name, certificateRequest, rosterEntry }, caller);
      return { ...answer, auditKey: auditKey() };
    }),
    renew: handlers.unary(async (call) => {
      const peer = requirePeer(call);
      const caller = { clientAddress: clientAddress(call) };
      const renewed = await desk.renew(peer, call.request.certificateRequest, caller);
      if (peer.kind === 'host') fleet.renewed(await findHostRow(store, peer.name));
      return renewed;
    }),
  };
}
