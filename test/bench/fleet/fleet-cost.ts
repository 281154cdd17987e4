import { setTimeout as delay } from 'node:timers/promises';
import { summarise, type Samples } from '../measure.ts';
import { LightFleet } from './light-fleet.ts';
import { cpuMs, residentKb } from './process-cost.ts';
import { RawFleet } from './raw-fleet.ts';

/** What one server takes for so many agents. */
export interface Cost {
  readonly fanOut: Samples;
  /** Microseconds of the server's processor time for one agent of a fan-out. */
  readonly cpuUs: number;
  /** Kilobytes of the server's resident memory for one agent that is idle, before any fan-out. */
  readonly idleKb: number;
}

export interface FleetCost {
  readonly agents: number;
  readonly raw: Cost;
  readonly kompose: Cost;
  readonly timeRatio: number;
  readonly idleRatio: number;
}

/** Both servers have had time to collect what their agents' coming has left. */
const restMs = 15_000;

interface Subject {
  readonly pid: number;
  fanOut(): Promise<number>;
}

/**
 * A run of a reading command on a fleet of so many light agents, with all that is recorded of it durable, and in turn
 * with it the bare exchange of as many messages by grpc-js alone.
 */
export async function costOfFleet(agents: number, rounds: number): Promise<FleetCost> {
  await using fleet = await LightFleet.create(agents);
  await fleet.startController();
  await using bare = await RawFleet.create(fleet);
  const idle = await idleMemory(agents, fleet, bare);
  const kompose = { pid: fleet.pid, fanOut: () => fanOut(fleet) };
  const costs = await measure({ raw: bare, kompose }, agents, rounds);
  const raw = { ...costs.raw, idleKb: idle.raw };
  const ours = { ...costs.kompose, idleKb: idle.kompose };
  const timeRatio = ours.fanOut.medianMs / raw.fanOut.medianMs;
  return { agents, raw, kompose: ours, timeRatio, idleRatio: ours.idleKb / raw.idleKb };
}

async function fanOut({ user, hosts }: LightFleet): Promise<number> {
  const { ms, counts } = await user.run('ps');
  if (counts['succeeded'] !== hosts.length) throw new Error(`tasks are missing: ${JSON.stringify(counts)}`);
  return ms;
}

async function idleMemory(
  agents: number,
  fleet: LightFleet,
  bare: RawFleet,
): Promise<{ raw: number; kompose: number }> {
  const look = (): Promise<number[]> => Promise.all([residentKb(bare.pid), residentKb(fleet.pid)]);
  const [rawAlone = 0, komposeAlone = 0] = await look();
  await bare.connect();
  await fleet.startAgents();
  await delay(restMs);
  const [raw = 0, kompose = 0] = await look();
  return { raw: (raw - rawAlone) / agents, kompose: (kompose - komposeAlone) / agents };
}

/** In turn, after one round that does not count. */
async function measure<Name extends string>(
  subjects: Readonly<Record<Name, Subject>>,
  agents: number,
  rounds: number,
): Promise<Record<Name, Pick<Cost, 'fanOut' | 'cpuUs'>>> {
  const found = Object.entries<Subject>(subjects).map(([name, subject]) => {
    return { name, subject, times: [] as number[], spentMs: 0 };
  });
  for (let round = -1; round < rounds; round++) {
    for (const each of found) {
      const beforeMs = await cpuMs(each.subject.pid);
      const ms = await each.subject.fanOut();
      if (round < 0) continue;
      each.times.push(ms);
      each.spentMs += (await cpuMs(each.subject.pid)) - beforeMs;
    }
  }
  const costs = found.map(({ name, times, spentMs }) => {
    return [name, { fanOut: summarise(name, times), cpuUs: (spentMs * 1000) / (rounds * agents) }];
  });
  return Object.fromEntries(costs) as Record<Name, Pick<Cost, 'fanOut' | 'cpuUs'>>;
}
