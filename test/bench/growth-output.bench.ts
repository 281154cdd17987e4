import { setTimeout as delay } from 'node:timers/promises';
import { markdownTable } from './document.ts';
import { forgetPeak, residentKb } from './fleet/process-cost.ts';
import { summarise, type Bench, type Samples } from './measure.ts';
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
  /** Of the time over the size, by least squares: milliseconds for each MB, and for none. */
  readonly msAMegabyte: number;
  readonly startMs: number;
  /** Megabytes of peak memory for each tenfold of the output. */
  readonly controllerSlope: number;
  readonly agentSlope: number;
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
    const [msAByte, startMs] = line(rows.map(({ bytes, time }) => [bytes, time.medianMs]));
    const [controllerSlope] = line(rows.map(({ bytes, controllerMb }) => [Math.log10(bytes), controllerMb]));
    const [agentSlope] = line(rows.map(({ bytes, agentMb }) => [Math.log10(bytes), agentMb]));
    return { rows, msAMegabyte: msAByte * 1e6, startMs, controllerSlope, agentSlope };
  },
  inDocs: ({ rows, msAMegabyte, startMs, controllerSlope, agentSlope }) => {
    const cells = rows.map(({ bytes, time, controllerMb, agentMb }) => [
      named(bytes),
      `${time.medianMs.toFixed(0)} (${time.minMs.toFixed(0)}–${time.maxMs.toFixed(0)})`,
      bytes < 1e7 ? '–' : (bytes / 1e6 / ((time.medianMs - startMs) / 1_000)).toFixed(0),
      controllerMb.toFixed(0),
      agentMb.toFixed(0),
    ]);
    const head = ['output', 'time, ms', 'MB/s', 'controller, peak RSS in MB', 'agent'];
    const fitted = [
      `By least squares: time = ${startMs.toFixed(0)} ms + ${msAMegabyte.toFixed(2)} ms a MB;`,
      `peak memory grows by ${controllerSlope.toFixed(1)} MB (controller) and ${agentSlope.toFixed(1)} MB (agent) for each tenfold of output.`,
    ];
    return `Median (least to most); the rate is without the start.\n\n${markdownTable([head, ...cells])}\n\n${fitted.join('\n')}`;
  },
};

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

/** Slope and what it begins with, by least squares. */
function line(points: readonly (readonly [number, number])[]): [number, number] {
  const mean = (of: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean(([at]) => at), mean(([, value]) => value)];
  const slope = mean(([at, value]) => (at - x) * (value - y)) / mean(([at]) => (at - x) ** 2);
  return [slope, y - slope * x];
}

function named(bytes: number): string {
  const power = Math.floor(Math.log10(bytes) / 3);
  return `${bytes / 1_000 ** power} ${['B', 'kB', 'MB', 'GB'][power]}`;
}
