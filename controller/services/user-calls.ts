import type { Transaction } from 'kysely';
import { KomposeError } from '../../common/errors.ts';
import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { record } from '../audit/audit.ts';
import { refuseUnknownRole } from '../identity/roles.ts';
import type { Schema } from '../store/schema.ts';
import type { FleetContext } from './fleet-context.ts';
import { clientAddress } from './peer.ts';

type UserMethods = 'listUsers' | 'removeUser' | 'setUserRole';

/** The calls about users. */
export function userCalls(context: FleetContext): Pick<FleetServer, UserMethods> {
  const { store, handlers, clock, watches, runs, callers } = context;
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
      const { name } = call.request;
      await store.write(async (transaction) => {
        const { numDeletedRows } = await transaction
          .deleteFrom('users')
          .where('name', '=', name)
          .executeTakeFirst();
        if (numDeletedRows === 0n) throw unknownUser(name);
        await refuseNoAdmin(transaction, `${name} is the last admin and stays`);
        const entry = { type: 'user.removed', actor, detail: { user: name } } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
      watches.end(name);
      runs.reconsider({ user: name, role: '' });
      return {};
    }),
    setUserRole: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'changing roles of users');
      const { name, role } = call.request;
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
        const entry = {
          type: 'user.changed',
          actor,
          detail: { user: name, role, before: user.role },
        } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
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
