import { KomposeError } from '../../common/errors.ts';
import { checkHostName, checkUserName } from '../../common/names.ts';
import { entriesAMessage } from '../../common/roster/entry.ts';
import type { Roster } from '../../common/roster/roster.ts';
import { version } from '../../common/version.ts';
import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { record } from '../audit/audit.ts';
import { checkRoster } from '../identity/roster-book.ts';
import { createToken, listTokens, revokeToken, type TokenRequest } from '../identity/tokens.ts';
import { checkedLabels } from './checked-labels.ts';
import type { FleetContext } from './fleet-context.ts';
import { clientAddress } from './peer.ts';

type IdentityMethods = 'createToken' | 'listTokens' | 'revokeToken' | 'whoAmI' | 'syncRoster';

/** The calls about tokens, and of a user about themselves. */
export function identityCalls(context: FleetContext): Pick<FleetServer, IdentityMethods> {
  const { store, handlers, clock, callers, addresses, authorities, roster } = context;
  return {
    createToken: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'making tokens');
      const { role, labels, ttlMs, uses, secretHash, key, rosterEntries } = call.request;
      if (!/^[0-9a-f]{64}$/.test(secretHash))
        throw new KomposeError('usage', 'a token has the hash of its secret');
      const name = call.request.name === '' ? '' : checkUserName(call.request.name);
      const replaces = call.request.replaces === '' ? '' : checkHostName(call.request.replaces);
      const rest = { labels: checkedLabels(labels), ttlMs, uses, createdBy: actor.name, secretHash, key };
      const request = { role, name, replaces, ...rest };
      const bringer = { actor, clientAddress: clientAddress(call) };
      const id = await store.write(async (transaction) => {
        const made = await createToken(transaction, request, clock());
        const invited = await roster.append(transaction, rosterEntries, bringer);
        checkRoster(isInvited(request, invited), 'invite whom the token is for');
        const detail = { token: made, role, name, ...named(replaces), labels, uses: uses || 1 };
        const entry = { type: 'token.created', ...bringer, detail } as const;
        await record(transaction, clock(), entry);
        return made;
      });
      await roster.refresh();
      return { id, name, addresses: [...addresses()], caFingerprint: authorities.fingerprint };
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
          key,
        } = token;
        const labels = JSON.parse(token.labels) as Record<string, string>;
        yield { id, role, name, labels, usesLeft, expiresUnixMs, createdBy, replaces, key };
      }
    }),
    revokeToken: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'revoking tokens');
      const { id, rosterEntries } = call.request;
      const bringer = { actor, clientAddress: clientAddress(call) };
      await store.write(async (transaction) => {
        const key = await revokeToken(transaction, id);
        const left = await roster.append(transaction, rosterEntries, bringer);
        checkRoster(left.invite(key) === undefined, 'withdraw the invite of the token');
        await record(transaction, clock(), { type: 'token.revoked', ...bringer, detail: { token: id } });
      });
      await roster.refresh();
      return {};
    }),
    whoAmI: handlers.unary(async (call) => {
      const { name, role } = await callers.user(call);
      const user = await store.db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst();
      const certificateNotAfterUnixMs = user?.certificate_not_after ?? 0;
      return { name, role, certificateNotAfterUnixMs, controllerVersion: version };
    }),
    syncRoster: handlers.unary(async (call) => {
      const actor = await callers.user(call);
      const { count, newer } = call.request;
      const bringer = { actor, clientAddress: clientAddress(call) };
      if (newer !== undefined) await roster.heal(newer.after, newer.entries, bringer);
      const { count: ours, head, entries } = roster.current;
      const part = { after: count, entries: entries.slice(count, count + entriesAMessage) };
      return { count: ours, head, part };
    }),
  };
}

/** A host's token invites nobody; a user's, whom it is for, as what it is for. */
function isInvited({ role, name, uses, key }: TokenRequest, roster: Roster): boolean {
  const invite = roster.invite(key);
  if (role === 'agent') return key === '';
  const isSame = invite?.user === name && invite.role === role;
  return isSame && invite.uses === (uses || 1) && invite.usesLeft === invite.uses;
}

function named(replaces: string): { readonly replaces?: string } {
  return replaces === '' ? {} : { replaces };
}
