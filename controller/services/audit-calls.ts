import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { findAudit, listAudit, scriptOf } from '../audit/audit-queries.ts';
import { exportAudit } from '../audit/export-audit.ts';
import type { FleetContext } from './fleet-context.ts';

type AuditMethods = 'listAudit' | 'getAudit' | 'exportAudit' | 'getAuditHead';

/** The calls about the audit. */
export function auditCalls(context: FleetContext): Pick<FleetServer, AuditMethods> {
  const { store, handlers, callers, notary } = context;
  return {
    listAudit: handlers.stream(async function* (call) {
      await callers.admin(call, 'the audit');
      for await (const row of listAudit(store, call.request.limit)) yield { ...row, script: '' };
    }),
    getAudit: handlers.unary(async (call) => {
      await callers.admin(call, 'the audit');
      const { seq, withScript } = call.request;
      const row = await findAudit(store, seq);
      return { ...row, script: withScript ? await scriptOf(store, row) : '' };
    }),
    exportAudit: handlers.stream(async function* (call) {
      await callers.admin(call, 'the audit');
      const { sinceUnixMs: sinceMs, untilUnixMs: untilMs } = call.request;
      for await (const piece of exportAudit(store, notary, { sinceMs, untilMs }))
        yield { data: Buffer.from(piece) };
    }),
    getAuditHead: handlers.unary(async (call) => {
      await callers.user(call);
      return { contradictions: await notary.contradictions(), head: await notary.head() };
    }),
  };
}
