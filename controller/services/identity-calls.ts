import { checkHostName, checkUserName } from '../../common/names.ts';
import { version } from '../../common/version.ts';
import { formatToken } from '../../proto/enrolment-token.ts';
import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { record } from '../audit/audit.ts';
import { createToken, listTokens, revokeToken } from '../identity/tokens.ts';
import { checkedLabels } from './checked-labels.ts';
import type { FleetContext } from './fleet-context.ts';
import { clientAddress } from './peer.ts';

type IdentityMethods = 'createToken' | 'listTokens' | 'revokeToken' | 'whoAmI';

/** The calls about tokens, and of a user about themselves. */
export function identityCalls(context: FleetContext): Pick<FleetServer, IdentityMethods> {
  const { store, handlers, clock, callers, addresses, caFingerprint } = context;
  return {
    createToken: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'making tokens');
      const { role, labels, ttlMs, uses } = call.request;
      const name = call.request.name === '' ? '' : checkUserName(call.request.name);
      const replaces = call.request.replaces === '' ? '' : checkHostName(call.request.replaces);
      const rest = { labels: checkedLabels(labels), ttlMs, uses, createdBy: actor.name };
      const request = { role, name, replaces, ...rest };
      const { id, secret } = await store.write(async (transaction) => {
        const made = await createToken(transaction, request, clock());
        const detail = { token: made.id, role, name, ...named(replaces), labels, uses: uses || 1 };
        const entry = { type: 'token.created', actor, clientAddress: clientAddress(call), detail } as const;
        await record(transaction, clock(), entry);
        return made;
      });
      return { id, name, token: formatToken({ addresses: addresses(), caFingerprint, secret }) };
    }),
    listTokens: handlers.stream(async function* (call) {
      await callers.admin(call, 'listing tokens');
      for (const token of await listTokens(store, clock())) {
        const {
          id,
          role,
          name,
          uses_left: usesLeft,
          expires_at: expiresUnixMs,
          created_by: createdBy,
          replaces,
        } = token;
        const labels = JSON.parse(token.labels) as Record<string, string>;
        yield { id, role, name, labels, usesLeft, expiresUnixMs, createdBy, replaces };
      }
    }),
    revokeToken: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'revoking tokens');
      await store.write(async (transaction) => {
        await revokeToken(transaction, call.request.id);
        const entry = { type: 'token.revoked', actor, detail: { token: call.request.id } } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
      return {};
    }),
    whoAmI: handlers.unary(async (call) => {
      const { name, role } = await callers.user(call);
      const user = await store.db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst();
      const certificateNotAfterUnixMs = user?.certificate_not_after ?? 0;
      return { name, role, certificateNotAfterUnixMs, controllerVersion: version };
    }),
  };
}

function named(replaces: string): { readonly replaces?: string } {
  return replaces === '' ? {} : { replaces };
}
