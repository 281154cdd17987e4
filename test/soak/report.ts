import { markdownTable, writeSection } from '../bench/document.ts';
import { writePlot } from '../bench/plot.ts';
import { inStretches, slope, type Line, type Point } from '../bench/slope.ts';
import type { Sample } from './sampler.ts';

/** What was found, to be told. */
export interface Found {
  readonly minutes: number;
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  /** The seconds of the load; before them, and after `settled`, nothing is asked for. */
  readonly loaded: { readonly from: number; readonly to: number; readonly settled: number };
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

function describe(found: Found): string {
  const { samples, staying, load, left, faults } = found;
  const rows = [...samples].map(([name, all]) => row(name, phasesOf(all, found), staying.has(name)));
  const end = [...left.map((one) => `left: ${one}`), ...faults];
  const verdict =
    end.length === 0
      ? 'Afterwards nothing was left: no stream, run, process or temporary file; every run and each of its targets had its end.'
      : ['Found afterwards:', ...end.slice(0, 20).map((line) => `- ${line.slice(0, 300)}`)].join('\n');
  return [`${load}.`, markdownTable([head, ...rows]), slopes(found), verdict, meaning].join('\n\n');
}

const head = [
  'program',
  'private MB: at rest before',
  'under load: median',
  'most',
  'slope, kB an hour',
  'at rest after',
  'heap, MB: lowest of the second quarter',
  'of the last',
  'buffers, MB: lowest of the second quarter',
  'of the last',
  'RSS, MB: most',
  'files: median',
  'slope an hour',
  'late, ms: median of p99',
  'most',
];

const meaning = `Sampled each second. Private is what a program shares with nobody and with no file. Slopes are those of the load's last three
quarters, with a confidence of 95 %, from ${stretches} means each; a program that is started anew has none. The lowest points of heap
and buffers are just after a collection: they tell what JavaScript keeps in earnest, so that a leak shows in them however much
garbage waits. At rest, half a minute long before and after the load, nothing is asked for. Late is the delay of the event loop: the
worse of the last minute and the one that has begun.

What fills while it is warm, and its bound: the newest 256 KiB of each run under way, 4 MiB while its reader lags (gone with the run);
SQLite's pages, 2 MB, and 200 prepared statements; V8's garbage, up to 40 % above what lives in the controller. What was freed beside
V8's heap stays with the process where it lies between pieces that are in use, and is used again first: of 210 MB that were private
to a controller after a load of output alone, glibc's \`malloc_trim\`, called from a debugger, gave back 89.`;

/** Whose private memory grows under load, by more than chance. */
function slopes(found: Found): string {
  const growing = [...found.samples].flatMap(([name, all]) => {
    const line = lineOf(phasesOf(all, found).warm, ({ privateKb }) => privateKb);
    return found.staying.has(name) && line !== undefined && line.slope > line.within ? [name] : [];
  });
  const told = `Under load of ${found.minutes} minutes private memory, of what is never started anew,`;
  return growing.length === 0 ? `${told} grows nowhere.` : `${told} grows in: ${growing.join(', ')}.`;
}

interface Phases {
  readonly all: readonly Sample[];
  readonly before: readonly Sample[];
  readonly load: readonly Sample[];
  /** The load without its first part. */
  readonly warm: readonly Sample[];
  readonly after: readonly Sample[];
  /** Of the load. */
  readonly quarter: (which: 1 | 2 | 3 | 4) => readonly Sample[];
}

function phasesOf(all: readonly Sample[], { loaded: { from, to, settled } }: Found): Phases {
  const between = (low: number, high: number): readonly Sample[] =>
    all.filter(({ second }) => second >= low && second <= high);
  const at = (share: number): number => from + (to - from) * share;
  return {
    all,
    before: between(0, from),
    load: between(from, to),
    warm: between(at(warmingShare), to),
    after: between(settled, Infinity),
    quarter: (which) => between(at((which - 1) / 4), at(which / 4)),
  };
}

function row(name: string, { all, before, load, warm, after, quarter }: Phases, stays: boolean): string[] {
  const of = (some: readonly Sample[], measure: Measure): number[] => points(some, measure).map(([, y]) => y);
  const own: Measure = ({ privateKb }) => privateKb / 1024;
  const files: Measure = (sample) => sample.files;
  const heap: Measure = ({ gauges }) => bytesToMb(gauges?.heapBytes);
  const buffers: Measure = ({ gauges }) => bytesToMb(gauges?.bufferBytes);
  const late: Measure = ({ gauges }) => usToMs(gauges?.loopDelay.p99Us);
  const latest: Measure = ({ gauges }) => usToMs(gauges?.loopDelay.maxUs);
  const anHour = (measure: Measure, digits: number): string =>
    stays ? slopeText(warm, measure, digits) : '–';
  return [
    name,
    text(median(of(before, own))),
    text(median(of(load, own))),
    text(Math.max(...of(load, own))),
    anHour(({ privateKb }) => privateKb, 0),
    text(median(of(after, own))),
    text(Math.min(...of(quarter(2), heap))),
    text(Math.min(...of(quarter(4), heap))),
    text(Math.min(...of(quarter(2), buffers))),
    text(Math.min(...of(quarter(4), buffers))),
    text(Math.max(...of(all, ({ residentKb }) => residentKb / 1024))),
    text(median(of(load, files)), 0),
    anHour(files, 1),
    text(median(of(load, late))),
    text(Math.max(...of(load, latest))),
  ];
}

/** `+120 ± 300`, an hour. */
function slopeText(warm: readonly Sample[], measure: Measure, digits: number): string {
  const line = lineOf(warm, measure);
  if (line === undefined) return '–';
  const told = (value: number): string =>
    (value * 60).toLocaleString('en', { maximumFractionDigits: digits });
  return `${line.slope < 0 ? '' : '+'}${told(line.slope)} ± ${told(line.within)}`;
}

/** A minute; undefined of too few. */
function lineOf(warm: readonly Sample[], measure: Measure): Line | undefined {
  const all = points(warm, measure);
  return all.length < 4 * stretches ? undefined : slope(inStretches(all, stretches));
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

function bytesToMb(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / 1e6;
}

function text(value: number, digits = value < 10 ? 1 : 0): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}
