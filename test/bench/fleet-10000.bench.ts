import { describeCosts, reportCost } from './fleet.bench.ts';
import { costOfFleet, type FleetCost } from './fleet/fleet-cost.ts';
import type { Bench } from './measure.ts';

/** Takes some five minutes and some 10 GB; a run in which a task is missing ends it. */
export const bench: Bench<readonly FleetCost[]> = {
  about:
    'a run of `ps` on every host of a fleet of 10,000 light agents, and of 1,000 beside it, and the bare exchange by grpc-js alone',
  async run(report) {
    const costs: FleetCost[] = [];
    for (const agents of [1_000, 10_000]) {
      const cost = await costOfFleet(agents, 3);
      reportCost(cost, report);
      costs.push(cost);
    }
    return costs;
  },
  inDocs: describeCosts,
  targets: (costs) => {
    const [few = Number.NaN, many = Number.NaN] = costs.map(({ kompose }) => kompose.cpuUs);
    const ratio = many / few;
    return [
      {
        what: "10,000 light agents, all accounted for: the controller's CPU a task, of that at 1,000",
        limit: 'at most 1.5',
        measured: ratio.toFixed(2),
        isMet: ratio <= 1.5,
      },
    ];
  },
};
