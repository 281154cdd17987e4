import type { AuditNotary } from '../audit/audit-notary.ts';
import type { Gauges } from '../../common/gauges.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Authorities } from '../identity/authorities.ts';
import type { Roles } from '../identity/roles.ts';
import type { RosterBook } from '../identity/roster-book.ts';
import type { RunRegistry } from '../runs/run-registry.ts';
import type { Store } from '../store/store.ts';
import type { Callers } from './callers.ts';
import type { Handlers } from './handlers.ts';
import type { RunViews } from './run-view.ts';
import type { UserWatches } from './user-watches.ts';

export interface FleetServiceDeps {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly roles: Roles;
  readonly roster: RosterBook;
  readonly runs: RunRegistry;
  readonly handlers: Handlers;
  readonly clock: () => number;
  /** What tokens carry. */
  readonly addresses: () => readonly string[];
  readonly authorities: Authorities;
  /** Ends the connections of certificates that are good no more. */
  readonly expel: (certificates: readonly string[]) => void;
  readonly notary: AuditNotary;
  /** This controller's own. */
  readonly readGauges: () => Gauges;
}

/** What all calls of users share. */
export interface FleetContext extends FleetServiceDeps {
  readonly callers: Callers;
  readonly watches: UserWatches;
  readonly views: RunViews;
}
