import { KomposeError } from '../../common/errors.ts';
import { checkCommand } from '../../common/names.ts';
import { parseRuleSet } from '../../common/rules/rule-set.ts';
import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { record } from '../audit/audit.ts';
import { ruleTarget } from '../fleet/rule-target.ts';
import { eraseRole, writeRole } from '../identity/roles.ts';
import type { FleetContext } from './fleet-context.ts';
import { clientAddress } from './peer.ts';

type RoleMethods = 'listRoles' | 'setRole' | 'removeRole' | 'testRole';

/** The calls about roles. */
export function roleCalls(context: FleetContext): Pick<FleetServer, RoleMethods> {
  const { store, fleet, roles, runs, handlers, clock, watches, callers } = context;

  /** What roles allow has changed: nobody keeps what they may not do any more. */
  function reconsider(): void {
    watches.recheck();
    runs.reconsider();
  }

  async function roleOf({ user, role }: { user: string; role: string }): Promise<string> {
    if (user === '') {
      roles.require(role);
      return role;
    }
    const row = await store.db.selectFrom('users').select('role').where('name', '=', user).executeTakeFirst();
    if (row === undefined) throw new KomposeError('not-found', `there is no user ${user}: kompose users`);
    return row.role;
  }

  return {
    listRoles: handlers.stream(async function* (call) {
      await callers.user(call);
      const users = await store.db.selectFrom('users').select('role').execute();
      for (const { name, rules, isBuiltIn: builtIn } of roles.list()) {
        const count = users.filter(({ role }) => role === name).length;
        yield { name, builtIn, rules: rules.text, users: count };
      }
    }),
    setRole: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'changing roles');
      const { name } = call.request;
      const rules = parseRuleSet(call.request.rules, { of: 'role' });
      const created = !roles.list().some((role) => role.name === name);
      await store.write(async (transaction) => {
        await writeRole(transaction, { name, text: rules.text }, clock());
        const entry = { type: 'role.changed', actor, detail: { role: name, rules: rules.text } } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
      roles.put(name, rules);
      reconsider();
      return { created };
    }),
    removeRole: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'removing roles');
      const { name } = call.request;
      await store.write(async (transaction) => {
        await eraseRole(transaction, name, clock());
        const entry = { type: 'role.removed', actor, detail: { role: name } } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
      roles.drop(name);
      reconsider();
      return {};
    }),
    testRole: handlers.stream(async function* (call) {
      const actor = await callers.user(call);
      const { user, pattern, filter, args, envNames } = call.request;
      if (user !== actor.name) await callers.admin(call, 'testing the role of others');
      const role = await roleOf(call.request);
      const command = checkCommand(call.request.command);
      const targets = await runs.resolve({ pattern, filter: filter ?? { hosts: [], labels: [] } });
      for (const { host, stack } of targets) {
        const target = ruleTarget(fleet, host, stack);
        const { isAllowed: allowed, rule, reason } = roles.decide(role, { command, args, envNames }, target);
        yield { host, stack, allowed, rule, reason };
      }
    }),
  };
}
