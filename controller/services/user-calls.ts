import type { Transaction } from 'kysely';
import { KomposeError } from '../../common/errors.ts';
import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { record } from '../audit/audit.ts';
import { certificatesOf } from '../identity/directory.ts';
import { refuseUnknownRole } from '../identity/roles.ts';
import { checkRoster } from '../identity/roster-book.ts';
import type { Schema } from '../store/schema.ts';
import type { FleetContext } from './fleet-context.ts';
import { clientAddress } from './peer.ts';

type UserMethods = 'listUsers' | 'removeUser' | 'setUserRole';

/** The calls about users. */
export function userCalls(context: FleetContext): Pick<FleetServer, UserMethods> {
  const { store, handlers, clock, watches, runs, callers, expel, roster } = context;
  return {
    listUsers: handlers.stream(async function* (call) {
      await callers.admin(call, 'listing users');
      for (const user of await store.db.selectFrom('users').selectAll().orderBy('name').execute()) {
        const {
          name,
          role,
          created_at: createdUnixMs,
          certificate_not_after: certificateNotAfterUnixMs,
        } = user;
        yield { name, role, createdUnixMs, certificateNotAfterUnixMs };
      }
    }),
    removeUser: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'removing users');
      const { name, rosterEntries } = call.request;
      const bringer = { actor, clientAddress: clientAddress(call) };
      const certificates = await store.write(async (transaction) => {
        const user = await transaction
          .selectFrom('users')
          .selectAll()
          .where('name', '=', name)
          .executeTakeFirst();
        // One who logged in after the backup that was restored is a user of the roster alone.
        if (user === undefined && roster.current.user(name) === undefined) throw unknownUser(name);
        await transaction.deleteFrom('users').where('name', '=', name).execute();
        await refuseNoAdmin(transaction, `${name} is the last admin and stays`);
        const left = await roster.append(transaction, rosterEntries, bringer);
        checkRoster(left.user(name) === undefined, `remove ${name}`);
        await record(transaction, clock(), { type: 'user.removed', ...bringer, detail: { user: name } });
        return user === undefined ? [] : certificatesOf(user);
      });
      await roster.refresh();
      watches.end(name);
      expel(certificates);
      runs.reconsider({ user: name, role: '' });
      return {};
    }),
    setUserRole: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'changing roles of users');
      const { name, role, rosterEntries } = call.request;
      const bringer = { actor, clientAddress: clientAddress(call) };
      await store.write(async (transaction) => {
        await refuseUnknownRole(transaction, role);
        const user = await transaction
          .selectFrom('users')
          .select('role')
          .where('name', '=', name)
          .executeTakeFirst();
        if (user === undefined) throw unknownUser(name);
        await transaction.updateTable('users').set({ role }).where('name', '=', name).execute();
        await refuseNoAdmin(transaction, `${name} is the last admin and stays one`);
        const changed = (await roster.append(transaction, rosterEntries, bringer)).user(name);
        const isSame = changed === undefined || changed.role === role;
        checkRoster(isSame, `give ${name} the role ${role}`);
        const detail = { user: name, role, before: user.role };
        await record(transaction, clock(), { type: 'user.changed', ...bringer, detail });
      });
      await roster.refresh();
      watches.changeRole(name, role);
      runs.reconsider({ user: name, role });
      return {};
    }),
  };
}

function unknownUser(name: string): KomposeError {
  return new KomposeError('not-found', `there is no user ${name}: kompose users`);
}

async function refuseNoAdmin(transaction: Transaction<Schema>, message: string): Promise<void> {
  const admin = await transaction
    .selectFrom('users')
    .select('name')
    .where('role', '=', 'admin')
    .executeTakeFirst();
  if (admin === undefined) throw new KomposeError('conflict', message);
}
