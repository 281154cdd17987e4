import { setTimeout as delay } from 'node:timers/promises';
import { markdownTable } from './document.ts';
import { forgetPeak, residentKb } from './fleet/process-cost.ts';
import { describeWithin, summarise, type Bench, type Samples } from './measure.ts';
import { writePlot } from './plot.ts';
import { slope, type Line, type Point } from './slope.ts';
import { StreamFleet } from './streams/stream-fleet.ts';

/** 1 kB to 1 GB, and how often each. */
const sizes = [
  { bytes: 1e3, rounds: 5 },
  { bytes: 1e4, rounds: 5 },
  { bytes: 1e5, rounds: 5 },
  { bytes: 1e6, rounds: 5 },
  { bytes: 1e7, rounds: 5 },
  { bytes: 1e8, rounds: 3 },
  { bytes: 1e9, rounds: 2 },
];
const restMs = 1_000;

interface Row {
  readonly bytes: number;
  readonly time: Samples;
  /** Peak RSS while it prints, in megabytes. */
  readonly controllerMb: number;
  readonly agentMb: number;
}

interface Result {
  readonly rows: readonly Row[];
  /** Of the time, in milliseconds, over the megabytes. */
  readonly time: Line;
  /** Of the peak memory, in megabytes, over the logarithm of the bytes. */
  readonly controller: Line;
  readonly agent: Line;
}

/** How cost grows with what one task prints. */
export const bench: Bench<Result> = {
  about: 'one task that prints 1 kB to 1 GB, from the start of its client to its end',
  async run(report) {
    await using fleet = await StreamFleet.start();
    await fleet.follow('app', await fleet.text(1));
    const rows: Row[] = [];
    for (const { bytes, rounds } of sizes) {
      const row = await measure(fleet, bytes, rounds);
      const { time, controllerMb, agentMb } = row;
      report(
        `${named(bytes).padStart(7)} ${time.medianMs.toFixed(0).padStart(6)} ms (${time.minMs.toFixed(0)} to ${time.maxMs.toFixed(0)}), controller at most ${controllerMb.toFixed(0)} MB, agent ${agentMb.toFixed(0)} MB`,
      );
      rows.push(row);
    }
    const memoryOf = (who: 'controllerMb' | 'agentMb'): Point[] => rows.map((row) => [row.bytes, row[who]]);
    const logarithmic = (points: readonly Point[]): Point[] => points.map(([x, y]) => [Math.log10(x), y]);
    await plot(rows, memoryOf('controllerMb'), memoryOf('agentMb'));
    return {
      rows,
      time: slope(rows.map(({ bytes, time }) => [bytes / 1e6, time.medianMs])),
      controller: slope(logarithmic(memoryOf('controllerMb'))),
      agent: slope(logarithmic(memoryOf('agentMb'))),
    };
  },
  inDocs: ({ rows, time: { slope: msAMegabyte, intercept: startMs }, controller, agent }) => {
    const cells = rows.map(({ bytes, time, controllerMb, agentMb }) => [
      named(bytes),
      describeWithin(time),
      bytes < 1e7
        ? '–'
        : (bytes / 1e6 / ((time.medianMs - (rows[0]?.time.medianMs ?? 0)) / 1_000)).toFixed(0),
      controllerMb.toFixed(0),
      agentMb.toFixed(0),
    ]);
    const head = ['output', 'time, ms', 'MB/s', 'controller, peak RSS in MB', 'agent'];
    return [
      'Median (least to most), from the start of the client to its end; the rate is without what 1 kB takes.',
      markdownTable([head, ...cells]),
      [
        `By least squares the time is ${startMs.toFixed(0)} ms and ${msAMegabyte.toFixed(2)} ms a MB, and the peak memory grows`,
        `by ${controller.slope.toFixed(1)} MB (controller) and ${agent.slope.toFixed(1)} MB (agent) with each tenfold of the output.`,
      ].join('\n'),
      '![Time of a task by what it prints](plots/growth-output.svg)',
      '![Peak memory by what a task prints](plots/growth-output-memory.svg)',
    ].join('\n\n');
  },
};

async function plot(
  rows: readonly Row[],
  controller: readonly Point[],
  agent: readonly Point[],
): Promise<void> {
  const x = { label: 'bytes of output', isLog: true };
  await writePlot('growth-output', {
    title: 'Time of a task by what it prints',
    x,
    y: { label: 'ms', isLog: true },
    series: [{ name: 'kompose', points: rows.map(({ bytes, time }) => [bytes, time.medianMs]) }],
  });
  await writePlot('growth-output-memory', {
    title: 'Peak memory by what a task prints',
    x,
    y: { label: 'MB' },
    series: [
      { name: 'controller', points: controller },
      { name: 'agent', points: agent },
    ],
  });
}

async function measure(fleet: StreamFleet, bytes: number, rounds: number): Promise<Row> {
  const file = await fleet.text(bytes);
  const pids = [fleet.controllerPid, fleet.agentPid];
  await delay(restMs);
  await Promise.all(pids.map(forgetPeak));
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) times.push(await fleet.follow('app', file));
  const [controllerMb = 0, agentMb = 0] = await Promise.all(
    pids.map(async (pid) => (await residentKb(pid, 'VmHWM')) / 1024),
  );
  return { bytes, time: summarise(named(bytes), times), controllerMb, agentMb };
}

function named(bytes: number): string {
  const power = Math.floor(Math.log10(bytes) / 3);
  return `${bytes / 1_000 ** power} ${['B', 'kB', 'MB', 'GB'][power]}`;
}
