import { describeCosts, reportCost } from './fleet.bench.ts';
import { costOfFleet, type FleetCost } from './fleet/fleet-cost.ts';
import type { Bench } from './measure.ts';

/** Takes some minutes and some 10 GB. */
export const bench: Bench<readonly FleetCost[]> = {
  about:
    'a run of `ps` on every host of a fleet of 10,000 light agents, and the bare exchange by grpc-js alone',
  isOnRequest: true,
  async run(report) {
    const cost = await costOfFleet(10_000, 3);
    reportCost(cost, report);
    return [cost];
  },
  inDocs: describeCosts,
};
