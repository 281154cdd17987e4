import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { findAudit, listAudit } from '../audit/audit.ts';
import type { FleetContext } from './fleet-context.ts';

/** The calls about the audit. */
export function auditCalls({
  store,
  handlers,
  callers,
}: FleetContext): Pick<FleetServer, 'listAudit' | 'getAudit'> {
  return {
    listAudit: handlers.stream(async function* (call) {
      await callers.admin(call, 'the audit');
      yield* listAudit(store, call.request.limit);
    }),
    getAudit: handlers.unary(async (call) => {
      await callers.admin(call, 'the audit');
      return findAudit(store, call.request.seq);
    }),
  };
}
