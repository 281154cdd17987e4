import { markdownTable } from './document.ts';
import { costOfFleet, type FleetCost } from './fleet/fleet-cost.ts';
import type { Bench, Target } from './measure.ts';

const rounds = 9;

/** How a run's cost grows with the fleet. */
export const bench: Bench<readonly FleetCost[]> = {
  about: 'a run of `ps` on every host of a fleet of light agents, and the bare exchange by grpc-js alone',
  async run(report) {
    const costs: FleetCost[] = [];
    for (const agents of [10, 100, 1_000]) {
      const cost = await costOfFleet(agents, rounds);
      reportCost(cost, report);
      costs.push(cost);
    }
    return costs;
  },
  inDocs: describeCosts,
  targets: (costs) => costs.filter(({ agents }) => agents === 1_000).flatMap(targetsOf),
};

function targetsOf({ timeRatio, idleRatio, kompose }: FleetCost): readonly Target[] {
  const what = '1,000 light agents, run and audit durable';
  return [
    {
      what: `${what}: time, of grpc-js alone`,
      limit: 'at most 3',
      measured: timeRatio.toFixed(2),
      isMet: timeRatio <= 3,
    },
    {
      what: `${what}: the controller's CPU a task`,
      limit: 'under 500 µs',
      measured: `${kompose.cpuUs.toFixed(0)} µs`,
      isMet: kompose.cpuUs < 500,
    },
    {
      what: 'controller memory per idle agent, of grpc-js alone',
      limit: 'at most 1.2',
      measured: idleRatio.toFixed(2),
      isMet: idleRatio <= 1.2,
    },
  ];
}

export function reportCost(
  { agents, raw, kompose, ...ratios }: FleetCost,
  report: (line: string) => void,
): void {
  const about = ({ fanOut, cpuUs, idleKb }: FleetCost['raw']): string =>
    `${fanOut.medianMs.toFixed(0)} ms (${fanOut.minMs.toFixed(0)} to ${fanOut.maxMs.toFixed(0)}), ${cpuUs.toFixed(0)} µs CPU a task, ${idleKb.toFixed(0)} kB an idle agent`;
  report(`${agents} agents: grpc-js ${about(raw)}`);
  report(`${' '.repeat(String(agents).length + 7)}  kompose ${about(kompose)}`);
  report(`  ratios: time ${ratios.timeRatio.toFixed(2)}, memory ${ratios.idleRatio.toFixed(2)}`);
}

export function describeCosts(costs: readonly FleetCost[]): string {
  const spread = ({ fanOut }: FleetCost['raw']): string =>
    `${fanOut.medianMs.toFixed(0)} (${fanOut.minMs.toFixed(0)}–${fanOut.maxMs.toFixed(0)})`;
  const rows = costs.map(({ agents, raw, kompose, timeRatio, idleRatio }) => [
    agents.toLocaleString('en'),
    spread(raw),
    spread(kompose),
    timeRatio.toFixed(2),
    raw.cpuUs.toFixed(0),
    kompose.cpuUs.toFixed(0),
    // The base is as unsteady as a few agents are large.
    agents < 1_000 ? '–' : raw.idleKb.toFixed(0),
    agents < 1_000 ? '–' : kompose.idleKb.toFixed(0),
    agents < 1_000 ? '–' : idleRatio.toFixed(2),
  ]);
  const head = ['agents', 'grpc-js, ms', 'kompose, ms', 'ratio', 'CPU µs a task: grpc-js', 'kompose'];
  const memory = ['kB RSS an idle agent: grpc-js', 'kompose', 'ratio'];
  const about = [
    'Median (least to most). The run is signed, recorded and audited, durable on disk, and its client has its last event;',
    'grpc-js alone sends one message down each stream and waits for two back. Agents, servers and client share the cores.',
  ];
  return `${about.join('\n')}\n\n${markdownTable([[...head, ...memory], ...rows])}`;
}
