import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { findAudit, listAudit, scriptOf } from '../audit/audit-queries.ts';
import { exportAudit } from '../audit/export-audit.ts';
import { pruneAudit } from '../audit/prune-audit.ts';
import type { FleetContext } from './fleet-context.ts';
import { clientAddress } from './peer.ts';

type AuditMethods = 'listAudit' | 'getAudit' | 'exportAudit' | 'getAuditHead' | 'pruneAudit';

/** The calls about the audit. */
export function auditCalls(context: FleetContext): Pick<FleetServer, AuditMethods> {
  const { store, handlers, callers, notary, clock } = context;
  return {
    listAudit: handlers.stream(
      async function* (call) {
        await callers.admin(call, 'the audit');
        const { limit, filter } = call.request;
        for await (const row of listAudit(store, limit, filter)) yield { ...row, script: '' };
      },
      ({ json }) => json.length,
    ),
    getAudit: handlers.unary(async (call) => {
      await callers.admin(call, 'the audit');
      const { seq, withScript } = call.request;
      const row = await findAudit(store, seq);
      return { ...row, script: withScript ? await scriptOf(store, row) : '' };
    }),
    exportAudit: handlers.stream(
      async function* (call) {
        await callers.admin(call, 'the audit');
        const { sinceUnixMs: sinceMs, untilUnixMs: untilMs } = call.request;
        for await (const piece of exportAudit(store, notary, { sinceMs, untilMs }))
          yield { data: Buffer.from(piece) };
      },
      ({ data }) => data.length,
    ),
    getAuditHead: handlers.unary(async (call) => {
      await callers.user(call);
      const head = await notary.head();
      return { contradictions: await notary.contradictions(), head, keyChanges: [...notary.keyChanges] };
    }),
    pruneAudit: handlers.unary(async (call) => {
      const actor = await callers.admin(call, 'pruning the audit');
      const caller = { actor, clientAddress: clientAddress(call) };
      return pruneAudit(store, notary, call.request.beforeUnixMs, caller, clock());
    }),
  };
}
