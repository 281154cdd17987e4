import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { markdownTable } from './document.ts';
import { forgetPeak, residentKb } from './fleet/process-cost.ts';
import { summarise, type Bench, type Samples } from './measure.ts';
import { StreamFleet } from './streams/stream-fleet.ts';

const megabyte = 2 ** 20;
const bytes = 128 * megabyte;
/** What the slow one would get if it read. */
const slowBytes = 1024 * megabyte;
const rounds = 5;
/** Until all that may be under way to the slow client is. */
const restMs = 3_000;

interface Result {
  readonly alone: Samples;
  readonly beside: Samples;
  readonly share: number;
  /** In megabytes, with the slow client and nothing else. */
  readonly growth: { readonly controller: number; readonly agent: number };
}

/** Somebody follows what a task prints, and does not read it. */
export const bench: Bench<Result> = {
  about: 'a client that does not read what its task prints, and another task beside it',
  async run(report) {
    await using fleet = await StreamFleet.start({ stacks: ['slow', 'app'] });
    const [all, endless] = await Promise.all([fleet.text(bytes), fleet.text(slowBytes)]);
    // Once, so that all that is to be loaded is.
    await fleet.follow('app', await fleet.text(megabyte));
    const growth = await growthBeside(fleet, endless);
    const rates = { alone: [] as number[], beside: [] as number[] };
    for (let round = -1; round < rounds; round++) {
      const alone = bytes / megabyte / ((await fleet.follow('app', all)) / 1_000);
      const slow = await startSlow(fleet, endless);
      const beside = bytes / megabyte / ((await fleet.follow('app', all)) / 1_000);
      await stop(slow);
      if (round < 0) continue;
      rates.alone.push(alone);
      rates.beside.push(beside);
    }
    const alone = summarise('alone', rates.alone);
    const beside = summarise('beside', rates.beside);
    const share = beside.medianMs / alone.medianMs;
    for (const { name, medianMs, minMs, maxMs } of [alone, beside])
      report(`${name.padEnd(8)} ${medianMs.toFixed(0)} MB/s (${minMs.toFixed(0)} to ${maxMs.toFixed(0)})`);
    report(`memory: controller +${growth.controller.toFixed(1)} MB, agent +${growth.agent.toFixed(1)} MB`);
    return { alone, beside, share, growth };
  },
  inDocs: ({ alone, beside, share, growth }) => {
    const spread = ({ medianMs, minMs, maxMs }: Samples): string =>
      `${medianMs.toFixed(0)} (${minMs.toFixed(0)}–${maxMs.toFixed(0)})`;
    const rows = [
      ['another task, nobody slow beside it', `${spread(alone)} MB/s`],
      ['another task, beside the slow client', `${spread(beside)} MB/s`],
      ['ratio', share.toFixed(2)],
      ['controller: peak RSS above that before the slow client came', `${growth.controller.toFixed(1)} MB`],
      ['agent: the same', `${growth.agent.toFixed(1)} MB`],
    ];
    const about = `The slow client is sent ${slowBytes / megabyte} MB, stands still (SIGSTOP) and stays. Median (least to most).`;
    return `${about}\n\n${markdownTable([['', ''], ...rows])}`;
  },
  targets: ({ share, growth }) => [
    {
      what: 'a slow client: other tasks’ rate, of that without it',
      limit: 'at least 0.9',
      measured: share.toFixed(2),
      isMet: share >= 0.9,
    },
    ...(['controller', 'agent'] as const).map((who) => ({
      what: `a slow client: the ${who}’s memory grows by`,
      limit: 'less than 16 MB',
      measured: `${growth[who].toFixed(1)} MB`,
      isMet: growth[who] < 16,
    })),
  ],
};

/** It reads a little and then no more. */
async function startSlow(fleet: StreamFleet, file: string): Promise<ChildProcess> {
  const slow = fleet.client(['slow', 'logs', file], ['ignore', 'pipe', 'ignore']);
  if (slow.stdout !== null) await once(slow.stdout, 'readable');
  slow.kill('SIGSTOP');
  await delay(restMs);
  if (slow.exitCode !== null) throw new Error('the slow client was too fast');
  return slow;
}

async function stop(slow: ChildProcess): Promise<void> {
  const gone = once(slow, 'exit');
  slow.kill('SIGKILL');
  await gone;
}

async function growthBeside(fleet: StreamFleet, file: string): Promise<Result['growth']> {
  await delay(restMs);
  const pids = { controller: fleet.controllerPid, agent: fleet.agentPid };
  const before = { controller: await residentKb(pids.controller), agent: await residentKb(pids.agent) };
  await Promise.all([forgetPeak(pids.controller), forgetPeak(pids.agent)]);
  const slow = await startSlow(fleet, file);
  const grown = async (who: 'controller' | 'agent'): Promise<number> =>
    ((await residentKb(pids[who], 'VmHWM')) - before[who]) / 1024;
  const growth = { controller: await grown('controller'), agent: await grown('agent') };
  await stop(slow);
  return growth;
}
