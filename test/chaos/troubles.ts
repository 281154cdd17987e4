import { setTimeout as pause } from 'node:timers/promises';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';
import { run } from '../fleet/run.ts';
import type { Random } from '../shuffle/random.ts';

/** Who may be hit, and how. */
export const kinds = [
  'controller killed',
  'agent killed',
  'client killed',
  'controller frozen',
  'agent frozen',
  'client frozen',
  'link cut',
  'link lossy',
] as const;

/** What happens to one party in the middle of a run. */
export interface Trouble {
  readonly kind: (typeof kinds)[number];
  readonly host: string;
  /** From the start of the client, or from when it has heard that its run has begun. */
  readonly since: 'start' | 'begun';
  readonly afterMs: number;
  /** Of what ends again; a killed party is away for so long. */
  readonly forMs: number;
}

/** As much of the client as is needed to hit it. */
export interface Client {
  kill(signal: NodeJS.Signals): boolean;
}

export function anyTrouble(
  random: Random,
  kind: Trouble['kind'],
  hosts: readonly [string, ...string[]],
  spreadMs: number,
): Trouble {
  return {
    kind,
    since: 'start',
    host: random.pick(hosts),
    afterMs: random.between(0, spreadMs),
    forMs: random.between(50, 4000),
  };
}

/** Makes the trouble, and mends it; whoever was killed has been started again when this resolves. */
export async function make(
  { kind, host, forMs }: Trouble,
  fleet: KomposeFleet,
  client: Client,
): Promise<void> {
  switch (kind) {
    case 'controller killed':
      await fleet.kill('controller');
      await pause(forMs);
      return fleet.startController();
    case 'agent killed':
      await fleet.kill(host);
      await pause(forMs);
      return fleet.startAgent(host);
    case 'client killed':
      client.kill('SIGKILL');
      return undefined;
    case 'controller frozen':
      return freeze((signal) => process.kill(fleet.pid('controller'), signal), forMs);
    case 'agent frozen':
      return freeze((signal) => process.kill(fleet.pid(host), signal), forMs);
    case 'client frozen':
      return freeze((signal) => client.kill(signal), forMs);
    case 'link cut':
      await fleet.rig.cutLink(host);
      await pause(forMs);
      return fleet.rig.healLink(host);
    case 'link lossy':
      return lose(fleet, host, forMs);
  }
}

async function freeze(signal: (name: NodeJS.Signals) => void, forMs: number): Promise<void> {
  signal('SIGSTOP');
  await pause(forMs);
  signal('SIGCONT');
}

/** 20 Mbit/s with what that delays, and one packet in twenty-five lost, each way. */
async function lose(fleet: KomposeFleet, host: string, forMs: number): Promise<void> {
  const [nsenter = '', ...inside] = fleet.rig.host(host).argvPrefix;
  const within = (...words: string[]) => run(nsenter, [...inside, ...words]);
  const drop = ['-m', 'statistic', '--mode', 'random', '--probability', '0.04', '-j', 'DROP'];
  await within(
    'tc',
    'qdisc',
    'add',
    'dev',
    'eth0',
    'root',
    'tbf',
    'rate',
    '20mbit',
    'burst',
    '64kb',
    'latency',
    '80ms',
  );
  for (const chain of ['INPUT', 'OUTPUT']) await within('iptables', '-I', chain, ...drop);
  await pause(forMs);
  for (const chain of ['INPUT', 'OUTPUT']) await within('iptables', '-D', chain, ...drop);
  await within('tc', 'qdisc', 'del', 'dev', 'eth0', 'root');
}
