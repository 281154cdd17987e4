import { markdownTable, writeSection } from '../bench/document.ts';
import { writePlot } from '../bench/plot.ts';
import { inStretches, slope, type Point } from '../bench/slope.ts';
import type { Sample } from './sampler.ts';

/** What was found, to be told. */
export interface Found {
  readonly minutes: number;
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  /** Programs that were never started anew. */
  readonly staying: ReadonlySet<string>;
  /** How many of what, in words. */
  readonly load: string;
  readonly left: readonly string[];
  readonly faults: readonly string[];
}

type Measure = (sample: Sample) => number | undefined;

/** What each plot shows. */
const measures: readonly [name: string, label: string, of: Measure][] = [
  ['memory', 'resident memory, MB', ({ residentKb }) => residentKb / 1024],
  ['private', 'private memory, MB', ({ privateKb }) => privateKb / 1024],
  ['files', 'open files and sockets', ({ files }) => files],
  ['handles', 'handles', ({ gauges }) => gauges?.handles],
  ['late', 'event loop: p99 of how late it is, ms', ({ gauges }) => usToMs(gauges?.loopDelay?.p99Us)],
];
/** A plot is not wider in points than a screen in pixels. */
const mostPoints = 300;
/** The first quarter is warming up: caches, code that is compiled, the heap's size. */
const warmingShare = 0.25;
const stretches = 15;

/** Draws the plots and writes the section `soak` of docs/performance.md; gives its body. */
export async function writeReport(found: Found): Promise<string> {
  const plots: string[] = [];
  for (const [name, label, of] of measures) {
    const series = [...found.samples].map(([program, all]) => ({
      name: program,
      points: thinned(points(all, of)),
    }));
    const plot = {
      title: `Soak: ${label.replace(/, .*/, '')}`,
      x: { label: 'time, minutes' },
      y: { label },
      series: series.filter((one) => one.points.length > 0),
    };
    plots.push(await writePlot(`soak-${name}`, plot));
  }
  const body = [describe(found), plots.join('\n\n')].join('\n\n');
  await writeSection('soak', about(found), body, 'npm run soak');
  return describe(found);
}

function about({ minutes }: Found): string {
  return `500 light agents and two real ones under steady load for ${minutes} minutes, with slow and vanishing clients and agents`;
}

function describe({ samples, staying, load, left, faults }: Found): string {
  const head = [
    'program',
    'RSS, MB: median',
    'most',
    'slope, kB an hour',
    'private, MB: median',
    'slope',
    'heap, MB: lowest of the second quarter',
    'of the last',
    'files: median',
    'slope an hour',
    'late, ms: median of p99',
    'most',
  ];
  const rows = [...samples].map(([name, all]) => row(name, all, staying.has(name)));
  const words = [
    `${load}. Sampled each second; slopes are those of the last three quarters, with a confidence of 95 %, from ${stretches}`,
    "means each; a program that is started anew has none. The heap's lowest points, just after a collection, tell what",
    "JavaScript keeps in earnest; memory beside it is buffers and the allocator's. Late is the delay of the event loop: the",
    'worse of the last minute and the one that has begun.',
  ];
  const end = [...left.map((one) => `left: ${one}`), ...faults];
  const verdict =
    end.length === 0
      ? 'Afterwards nothing was left: no stream, run, process or temporary file; every run and each of its targets had its end.'
      : ['Found afterwards:', ...end.slice(0, 20).map((line) => `- ${line.slice(0, 300)}`)].join('\n');
  return `${words.join('\n')}\n\n${markdownTable([head, ...rows])}\n\n${verdict}`;
}

function row(name: string, all: readonly Sample[], stays: boolean): string[] {
  const of = (measure: Measure): number[] => points(all, measure).map(([, y]) => y);
  const resident: Measure = ({ residentKb }) => residentKb;
  const own: Measure = ({ privateKb }) => privateKb;
  const files: Measure = (sample) => sample.files;
  const late: Measure = ({ gauges }) => usToMs(gauges?.loopDelay.p99Us);
  const most: Measure = ({ gauges }) => usToMs(gauges?.loopDelay.maxUs);
  const anHour = (measure: Measure, digits: number): string =>
    stays ? slopeText(all, measure, digits) : '–';
  return [
    name,
    megabytes(median(of(resident))),
    megabytes(Math.max(...of(resident))),
    anHour(resident, 0),
    megabytes(median(of(own))),
    anHour(own, 0),
    lowestHeap(all, 0.25, 0.5),
    lowestHeap(all, 0.75, 1),
    median(of(files)).toFixed(0),
    anHour(files, 1),
    text(median(of(late))),
    text(Math.max(...of(most))),
  ];
}

/** Just after a collection: what is kept in earnest. */
function lowestHeap(all: readonly Sample[], from: number, to: number): string {
  const last = all.at(-1)?.second ?? 0;
  const heaps = all
    .filter(({ second }) => second >= last * from && second <= last * to)
    .flatMap(({ gauges }) => gauges?.heapBytes ?? []);
  return heaps.length === 0 ? '–' : (Math.min(...heaps) / 1e6).toFixed(0);
}

/** `+120 ± 300`, an hour. */
function slopeText(all: readonly Sample[], measure: Measure, digits: number): string {
  const last = all.at(-1)?.second ?? 0;
  const warm = points(all, measure).filter(([minute]) => minute * 60 >= last * warmingShare);
  if (warm.length < 4 * stretches) return '–';
  const { slope: aMinute, within } = slope(inStretches(warm, stretches));
  const told = (value: number): string =>
    (value * 60).toLocaleString('en', { maximumFractionDigits: digits });
  return `${aMinute < 0 ? '' : '+'}${told(aMinute)} ± ${told(within)}`;
}

/** Minutes, and what was measured. */
function points(all: readonly Sample[], measure: Measure): Point[] {
  return all.flatMap((sample): Point[] => {
    const value = measure(sample);
    return value === undefined ? [] : [[sample.second / 60, value]];
  });
}

/** The largest of each stretch: what peaks is to be seen. */
function thinned(all: readonly Point[]): Point[] {
  const size = Math.ceil(all.length / mostPoints);
  const parts = Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
    all.slice(at * size, (at + 1) * size),
  );
  return parts.flatMap((part) => part.toSorted((a, b) => b[1] - a[1]).slice(0, 1));
}

function usToMs(us: number | undefined): number | undefined {
  return us === undefined ? undefined : us / 1000;
}

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;
}

function megabytes(kilobytes: number): string {
  return (kilobytes / 1024).toFixed(0);
}

function text(value: number): string {
  return Number.isFinite(value) ? value.toFixed(value < 10 ? 1 : 0) : '–';
}
