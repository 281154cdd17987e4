import { KomposeError } from '../../common/errors.ts';
import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { record } from '../audit/audit.ts';
import { ruleTarget } from '../fleet/rule-target.ts';
import { certificatesOf, findHostRow } from '../identity/directory.ts';
import { checkedLabels } from './checked-labels.ts';
import type { FleetContext } from './fleet-context.ts';
import { listGauges } from './list-gauges.ts';
import { listStacks } from './list-stacks.ts';
import { clientAddress } from './peer.ts';
import { toWireHost } from './wire-rows.ts';

type HostMethods = 'listHosts' | 'listStacks' | 'listGauges' | 'labelHost' | 'removeHost';

/** The calls about hosts and their stacks. */
export function hostCalls(context: FleetContext): Pick<FleetServer, HostMethods> {
  const { store, fleet, roles, runs, handlers, clock, watches, callers, expel, readGauges } = context;
  return {
    listHosts: handlers.stream(async function* (call) {
      const { role } = await callers.user(call);
      for (const { stacks, ...host } of fleet.list()) {
        const isShown = ({ name }: { name: string }): boolean =>
          roles.sees(role, { host: host.name, stack: name, labels: host.labels });
        if (!roles.seesHost(role, { ...host, stacks })) continue;
        yield toWireHost({ ...host, stacks: stacks?.filter(isShown) });
      }
    }),
    listStacks: handlers.stream(async function* (call) {
      const { role } = await callers.user(call);
      const { pattern, filter, withServices } = call.request;
      yield* await listStacks(fleet, runs, {
        pattern,
        filter: filter ?? { hosts: [], labels: [] },
        withServices,
        isShown: ({ host, stack }) => roles.sees(role, ruleTarget(fleet, host, stack)),
      });
    }),
    listGauges: handlers.stream(async function* (call) {
      await callers.admin(call, 'seeing what programs take');
      yield* listGauges(readGauges(), fleet, call.request.filter);
    }),
    labelHost: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'labelling a host');
      const { name, labels, remove } = call.request;
      const row = await findHostRow(store, name);
      const merged = { ...(JSON.parse(row.labels) as Record<string, string>), ...checkedLabels(labels) };
      for (const key of remove) delete merged[key];
      await store.write(async (transaction) => {
        await transaction
          .updateTable('hosts')
          .set({ labels: JSON.stringify(merged) })
          .where('name', '=', name)
          .execute();
        const entry = { type: 'host.labelled', actor, host: name, detail: { labels: merged } } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
      fleet.relabel(name, merged);
      watches.recheck();
      runs.reconsider();
      const host = fleet.get(name);
      if (host === undefined) throw new KomposeError('not-found', `there is no host ${name}: kompose hosts`);
      return toWireHost(host);
    }),
    removeHost: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'removing a host');
      const { name } = call.request;
      const row = await findHostRow(store, name);
      await store.write(async (transaction) => {
        await transaction.deleteFrom('hosts').where('name', '=', name).execute();
        const entry = {
          type: 'host.removed',
          actor,
          host: name,
          clientAddress: clientAddress(call),
        } as const;
        await record(transaction, clock(), entry);
      });
      fleet.remove(name);
      expel(certificatesOf(row));
      return {};
    }),
  };
}
