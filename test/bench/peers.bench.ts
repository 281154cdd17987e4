import { execa } from 'execa';
import { freePort } from '../fleet/free-port.ts';
import { kompose } from '../fleet/release.ts';
import { markdownTable } from './document.ts';
import { chunks, LightFleet } from './fleet/light-fleet.ts';
import { describe, summarise, type Bench, type Samples, type Target } from './measure.ts';
import { SshHosts } from './peers/ssh-hosts.ts';
import { sshTools } from './peers/tools.ts';
import { Prototype } from './prototype/prototype.ts';

const agents = 100;
const agentsAProcess = 25;
const counts = [1, 10, 50, agents];

/** A way to run a command on the first so many hosts. */
interface Subject {
  readonly name: string;
  readonly rounds: number;
  readonly run: (count: number) => Promise<unknown>;
}

/** How long each took on so many hosts. */
interface OnHosts {
  readonly count: number;
  readonly samples: readonly Samples[];
}

const cold = ['ssh', 'parallel-ssh', 'clush'] as const;
const keptOpen = ['ssh, kept open', 'clush, kept open'] as const;

/** What one would use instead, on the same machine. */
export const bench: Bench<readonly OnHosts[]> = {
  about:
    'a command that does nothing on 1 to 100 hosts at once: kompose (release build), and what one would use instead',
  async run(report) {
    await using fleet = await LightFleet.create(agents, agentsAProcess);
    await fleet.startController();
    await fleet.startAgents();
    await using prototype = await startPrototype(fleet);
    const addresses = fleet.hosts.map((_, at) => `127.0.1.${at + 1}`);
    await using sshHosts = await SshHosts.start({ addresses });
    await sshHosts.warmUp();
    const tools = await sshTools(sshHosts);
    const env = { KOMPOSE_HOME: await fleet.adminHome() };
    const ours = (count: number) =>
      execa(process.execPath, [kompose, patternOf(count), 'ps'], { env, stdin: 'ignore' });
    const subjects = [
      { name: 'kompose', rounds: 7, run: ours },
      { name: 'prototype', rounds: 7, run: (count: number) => prototype.run(count, 'true') },
      { name: 'prototype, no process', rounds: 7, run: (count: number) => prototype.run(count, '') },
      ...keptOpen.map((name) => ({ name, rounds: 7, run: tools[name] })),
      ...cold.map((name) => ({ name, rounds: 3, run: tools[name] })),
      { name: 'ansible', rounds: 1, run: tools.ansible },
    ];
    const found: OnHosts[] = [];
    for (const count of counts) {
      const samples = await measure(count, subjects);
      for (const each of samples) report(`${String(count).padStart(3)} hosts: ${describe(each)}`);
      found.push({ count, samples });
    }
    return found;
  },
  inDocs,
  targets: (found) => found.filter(({ count }) => count === agents).flatMap(targetsOf),
};

function startPrototype({ hosts, state }: LightFleet): Promise<Prototype> {
  const processes = chunks(hosts, agentsAProcess).map((some) => ({ hosts: some }));
  return freePort().then((port) =>
    Prototype.start({ address: `127.0.0.1:${port}`, state, agents: processes }),
  );
}

/** Of the first so many of the hosts' names, `host-00000` and on. */
function patternOf(count: number): string {
  if (count === 1) return 'host-00000:sexy';
  return count === agents ? '*' : `host-000[0-${count / 10 - 1}]?:sexy`;
}

/** In turn; the quick ones after one round that does not count. */
async function measure(count: number, subjects: readonly Subject[]): Promise<Samples[]> {
  const found = subjects.map((subject) => ({ ...subject, times: [] as number[] }));
  const mostRounds = Math.max(...subjects.map(({ rounds }) => rounds));
  for (const { rounds, run } of subjects) if (rounds === mostRounds) await run(count);
  for (let round = 0; round < mostRounds; round++) {
    for (const { rounds, run, times } of found) {
      if (round >= rounds) continue;
      const startMs = performance.now();
      await run(count);
      times.push(performance.now() - startMs);
    }
  }
  return found.map(({ name, times }) => summarise(name, times));
}

function targetsOf({ samples }: OnHosts): readonly Target[] {
  const of = (...names: readonly string[]): number =>
    Math.min(...samples.filter(({ name }) => names.includes(name)).map(({ medianMs }) => medianMs));
  const target = (reference: string, most: number, ...names: readonly string[]): Target => {
    const ratio = of('kompose') / of(...names);
    return {
      what: `fan-out, ${agents} agents, everything recorded: time, of ${reference}`,
      limit: `at most ${most}`,
      measured: ratio.toFixed(2),
      isMet: ratio <= most,
    };
  };
  return [
    target('the best cold ssh tool', 0.06, ...cold),
    target('the best with connections kept open', 0.8, ...keptOpen),
    target('the prototype', 1.3, 'prototype'),
  ];
}

function inDocs(found: readonly OnHosts[]): string {
  const names = found[0]?.samples.map(({ name }) => name) ?? [];
  const cell = ({ medianMs, minMs, maxMs, all }: Samples): string => {
    const [median, least, most] = [medianMs, minMs, maxMs].map((ms) => (ms / 1000).toFixed(2));
    return all.length === 1 ? `${median}` : `${median} (${least}–${most})`;
  };
  const rows = names.map((name) => {
    return [
      name,
      ...found.map(({ samples }) =>
        samples
          .filter((each) => each.name === name)
          .map(cell)
          .join(),
      ),
    ];
  });
  const about = [
    'Seconds: median (least to most). kompose runs `ps`, signed, recorded, audited and durable; its agents, 25 in a process, are',
    'light: a stub is at the far end. The prototype is a command line, a controller and agents by grpc-js over mutual TLS that',
    'record nothing and know no roles; each of its tasks is a `bash -c true`, or no process either. The others run `true`',
    `through sshd on ${agents} loopback addresses. Agents, servers and clients share the cores. On one host, whoever keeps an ssh`,
    'connection open is faster than any program that Node has to be started for.',
  ];
  const head = ['', ...found.map(({ count }) => `${count} host${count === 1 ? '' : 's'}`)];
  return `${about.join('\n')}\n\n${markdownTable([head, ...rows])}`;
}
