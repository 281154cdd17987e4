import type { FleetServer } from '../../proto/gen/kompose/v1/fleet.ts';
import { auditCalls } from './audit-calls.ts';
import { Callers } from './callers.ts';
import type { FleetServiceDeps } from './fleet-context.ts';
import { hostCalls } from './host-calls.ts';
import { identityCalls } from './identity-calls.ts';
import { roleCalls } from './role-calls.ts';
import { runCalls } from './run-calls.ts';
import { RunViews } from './run-view.ts';
import { userCalls } from './user-calls.ts';
import { UserWatches } from './user-watches.ts';

/** The users' calls; see fleet.proto. */
export function fleetService(deps: FleetServiceDeps): FleetServer {
  const ours = { callers: new Callers(deps), watches: new UserWatches(), views: new RunViews(deps) };
  const context = { ...deps, ...ours };
  return {
    ...runCalls(context),
    ...hostCalls(context),
    ...identityCalls(context),
    ...userCalls(context),
    ...roleCalls(context),
    ...auditCalls(context),
  };
}
