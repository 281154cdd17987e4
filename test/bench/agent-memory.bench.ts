import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loadMembership } from '../../agent/config.ts';
import { channelOptionsFor } from '../../proto/channel-options.ts';
import { markdownTable } from './document.ts';
import { forgetPeak, residentKb } from './fleet/process-cost.ts';
import { bundle } from './bundle.ts';
import type { Bench } from './measure.ts';
import { StreamFleet } from './streams/stream-fleet.ts';

const bytes = 2 ** 30;
const rounds = 3;
/** Both have had time to collect what their start has left. */
const restMs = 8_000;

/** In megabytes. */
interface Memory {
  readonly residentMb: number;
  readonly privateMb: number;
}

interface Result {
  readonly reference: Memory;
  readonly idle: Memory;
  /** While a task prints. */
  readonly peakMb: number;
  /** Some seconds after it. */
  readonly after: Memory;
}

/** The released agent as its unit starts it. */
export const bench: Bench<Result> = {
  about:
    'memory of an agent that idles, and while a task prints 1 GB; and of an idle Node with one client of grpc-js',
  async run(report) {
    const results: Result[] = [];
    for (let round = 0; round < rounds; round++) results.push(await measure());
    const [least] = results.toSorted((a, b) => a.idle.residentMb - b.idle.residentMb).slice(rounds >> 1);
    if (least === undefined) throw new Error('nothing was measured');
    for (const [name, { residentMb, privateMb }] of Object.entries({ ...least, peakMb: undefined }).filter(
      isMemory,
    ))
      report(`${name.padEnd(10)} ${residentMb.toFixed(1)} MB, ${privateMb.toFixed(1)} MB of its own`);
    report(`peak       ${least.peakMb.toFixed(1)} MB`);
    return least;
  },
  inDocs: ({ reference, idle, peakMb, after }) => {
    const cells = ({ residentMb, privateMb }: Memory): string[] => [
      residentMb.toFixed(1),
      privateMb.toFixed(1),
      (residentMb / reference.residentMb).toFixed(2),
    ];
    const rows = [
      ['an idle Node with one client of grpc-js', ...cells(reference)],
      ['agent, idle', ...cells(idle)],
      [
        'agent, peak while a task prints 1 GB',
        peakMb.toFixed(1),
        '–',
        (peakMb / reference.residentMb).toFixed(2),
      ],
      ['agent, idle again', ...cells(after)],
    ];
    const about = [
      'Of three starts that with the median RSS. The reference is bundled like the agent, and connected to the same controller.',
      'Some 45 MB of each is Node’s own program file, which all of its processes on a machine share.',
    ];
    return `${about.join('\n')}\n\n${markdownTable([['', 'RSS, MB', 'private, MB', 'ratio'], ...rows])}`;
  },
  targets: ({ reference, idle, peakMb }) => {
    const idleRatio = idle.residentMb / reference.residentMb;
    const peakRatio = peakMb / reference.residentMb;
    const what = 'of an idle Node with one client of grpc-js';
    return [
      {
        what: `agent, idle: RSS, ${what}`,
        limit: 'at most 1.1',
        measured: idleRatio.toFixed(2),
        isMet: idleRatio <= 1.1,
      },
      {
        what: `agent while a task prints 1 GB: peak RSS, ${what}`,
        limit: 'at most 1.5',
        measured: peakRatio.toFixed(2),
        isMet: peakRatio <= 1.5,
      },
      {
        what: 'agent, idle: private memory',
        limit: 'at most 30 MB',
        measured: `${idle.privateMb.toFixed(1)} MB`,
        isMet: idle.privateMb <= 30,
      },
    ];
  },
};

function isMemory(entry: [string, Memory | undefined]): entry is [string, Memory] {
  return entry[1] !== undefined;
}

async function measure(): Promise<Result> {
  await using fleet = await StreamFleet.start();
  const file = await fleet.text(bytes);
  const client = await startReference(fleet);
  try {
    await delay(restMs);
    const pid = fleet.agentPid;
    const [reference, idle] = [await memoryOf(client.pid ?? 0), await memoryOf(pid)];
    await forgetPeak(pid);
    await fleet.follow('app', file);
    const peakMb = (await residentKb(pid, 'VmHWM')) / 1024;
    await delay(restMs);
    return { reference, idle, peakMb, after: await memoryOf(pid) };
  } finally {
    client.kill('SIGKILL');
  }
}

/** Connected, with the identity of the agent. */
async function startReference(fleet: StreamFleet): Promise<ChildProcess> {
  const outfile = join(fleet.folder, 'idle-client.mjs');
  const { config, identity } = await loadMembership(fleet.agentState);
  await bundle(fileURLToPath(new URL('streams/idle-client.ts', import.meta.url)), outfile);
  const files = ['ca.crt', 'agent.key', 'agent.crt'].map((name) => join(fleet.agentState, name));
  const name = channelOptionsFor(identity.caCertificate)['grpc.ssl_target_name_override'] ?? '';
  const argv = [outfile, config.addresses[0] ?? '', ...files, name];
  const client = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(client.stdout, 'data');
  return client;
}

async function memoryOf(pid: number): Promise<Memory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const megabytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024;
  return { residentMb: megabytes('Rss'), privateMb: megabytes('Private_Clean') + megabytes('Private_Dirty') };
}
