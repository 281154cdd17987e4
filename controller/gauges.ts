import type { Gauges } from '../common/gauges.ts';
import type { ProcessGauge } from '../common/process-gauge.ts';
import type { Fleet } from './fleet/fleet.ts';
import type { RunRegistry } from './runs/run-registry.ts';
import type { Store } from './store/store.ts';

interface Parts {
  readonly process: ProcessGauge;
  readonly fleet: Fleet;
  readonly runs: RunRegistry;
  readonly store: Store;
  /** What is held for peers. */
  readonly held: { readonly streams: number; readonly total: number };
}

/** What this controller takes and has under way. */
export function controllerGauges({ process, fleet, runs, store, held }: Parts): Gauges {
  return {
    ...process.read(),
    links: fleet.list().filter(({ session }) => session !== undefined).length,
    streams: held.streams,
    runs: runs.liveCount,
    spooledBytes: held.total,
    queuedRecords: store.waitingCount,
  };
}
