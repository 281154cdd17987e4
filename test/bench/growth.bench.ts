import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { markdownTable } from './document.ts';
import type { FleetCost } from './fleet/fleet-cost.ts';
import { LightFleet } from './fleet/light-fleet.ts';
import { cpuMs, residentKb } from './fleet/process-cost.ts';
import { describeWithin, summarise, type Bench, type Samples } from './measure.ts';
import { writePlot, type Plot } from './plot.ts';
import { powerSlope, type Point } from './slope.ts';

const rounds = 7;
/** The controller has had time to collect what the agents' coming has left. */
const restMs = 5_000;

/** What a run of so many tasks takes. */
interface Step {
  readonly tasks: number;
  readonly run: Samples;
  /** Microseconds of the controller's processor time a task. */
  readonly cpuUs: number;
  /** Kilobytes that the controller has resident with that many agents linked, before any run. */
  readonly idleKb?: number;
}

interface Result {
  readonly agents: readonly Step[];
  readonly tasks: readonly Step[];
}

/** Targets of a run, by a pattern of light hosts; there are a thousand. */
const patterns = [
  ['host-00000:*', 1],
  ['host-0000*:*', 10],
  ['host-000*:*', 100],
  ['*', 1_000],
] as const;

/** How cost grows with the fleet, and with the tasks of a run on the same fleet. */
export const bench: Bench<Result> = {
  about:
    'how the cost of a run of `ps` grows with the number of light agents, and of tasks at once on 1,000 of them',
  async run(report) {
    const agents: Step[] = [];
    const tell = (what: string, { run, cpuUs }: Step): void =>
      report(`${what}: ${describeWithin(run)} ms, ${cpuUs.toFixed(0)} µs CPU a task`);
    for (const count of [10, 100]) {
      await using fleet = await linked(count);
      const idleKb = await residentKb(fleet.pid);
      const step = { ...(await stepOf(fleet, '*', count)), idleKb };
      agents.push(step);
      tell(`${count} agents`, step);
    }
    await using fleet = await linked(1_000);
    const idleKb = await residentKb(fleet.pid);
    const tasks: Step[] = [];
    for (const [pattern, count] of patterns) {
      const step = await stepOf(fleet, pattern, count);
      tasks.push(step);
      tell(`1,000 agents, ${count} tasks`, step);
    }
    agents.push(...tasks.slice(-1).map((step) => ({ ...step, idleKb })), ...(await tenThousand()));
    await writePlot('growth-agents', plotOf('A run on every host of a fleet', 'light agents', agents));
    await writePlot('growth-tasks', plotOf('A run on some of 1,000 hosts', 'tasks at once', tasks));
    return { agents, tasks };
  },
  inDocs: ({ agents, tasks }) =>
    [
      'Median (least to most). The slope is that of the plot, on both axes logarithmic: 1 is in proportion, 0 is not at all.',
      describe('agents', agents),
      'Agents, controller and client share the cores. 10,000 agents are taken from `npm run bench -- fleet-10000`, where that ran before.',
      '![A run on every host of a fleet](plots/growth-agents.svg)',
      describe('tasks at once', tasks),
      '![A run on some of 1,000 hosts](plots/growth-tasks.svg)',
    ].join('\n\n'),
};

async function linked(count: number): Promise<LightFleet> {
  const fleet = await LightFleet.create(count);
  await fleet.startController();
  await fleet.startAgents();
  await delay(restMs);
  return fleet;
}

/** After one round that does not count. */
async function stepOf(fleet: LightFleet, pattern: string, tasks: number): Promise<Step> {
  const times: number[] = [];
  let beforeMs = 0;
  for (let round = -1; round < rounds; round++) {
    if (round === 0) beforeMs = await cpuMs(fleet.pid);
    const { ms, counts } = await fleet.user.run('ps', pattern);
    if (counts['succeeded'] !== tasks) throw new Error(`tasks are missing: ${JSON.stringify(counts)}`);
    if (round >= 0) times.push(ms);
  }
  const cpuUs = (((await cpuMs(fleet.pid)) - beforeMs) * 1000) / (rounds * tasks);
  return { tasks, run: summarise(String(tasks), times), cpuUs };
}

/** What the last measurement of 10,000 has found, if there was one on this machine. */
async function tenThousand(): Promise<Step[]> {
  try {
    const path = new URL('../../bench-results/fleet-10000.json', import.meta.url);
    const costs = JSON.parse(await readFile(path, 'utf8')) as readonly FleetCost[];
    const many = costs.filter(({ agents }) => agents === 10_000);
    return many.map(({ agents, kompose: { fanOut, cpuUs } }) => ({ tasks: agents, run: fanOut, cpuUs }));
  } catch {
    return [];
  }
}

function pointsOf(steps: readonly Step[]): Point[] {
  return steps.map(({ tasks, run }) => [tasks, run.medianMs]);
}

function plotOf(title: string, label: string, steps: readonly Step[]): Plot {
  const points = pointsOf(steps);
  const { slope, intercept } = powerSlope(points);
  const fit = points.map(([x]): Point => [x, 10 ** (intercept + slope * Math.log10(x))]);
  return {
    title,
    x: { label, isLog: true },
    y: { label: 'time of a run, ms', isLog: true },
    series: [
      { name: 'measured', points },
      { name: `slope ${slope.toFixed(2)}`, points: fit, isDashed: true },
    ],
  };
}

function describe(what: string, steps: readonly Step[]): string {
  const hasMemory = steps.some(({ idleKb }) => idleKb !== undefined);
  const rows = steps.map(({ tasks, run, cpuUs, idleKb }) => [
    tasks.toLocaleString('en'),
    describeWithin(run),
    (run.medianMs / tasks).toFixed(2),
    cpuUs.toFixed(0),
    ...(hasMemory ? [idleKb === undefined ? '–' : (idleKb / 1024).toFixed(0)] : []),
  ]);
  const head = [what, 'a run, ms', 'a task, ms', "controller's CPU, µs a task"];
  if (hasMemory) head.push('its RSS before, MB');
  const { slope, within } = powerSlope(pointsOf(steps));
  const sure = Number.isFinite(within) ? ` ± ${within.toFixed(2)}` : '';
  return `${markdownTable([head, ...rows])}\n\nThe fitted slope is ${slope.toFixed(2)}${sure}.`;
}
