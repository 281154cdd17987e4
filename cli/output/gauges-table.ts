import { formatDuration } from '../../common/durations.ts';
import { ok, type Finding } from '../../common/finding.ts';
import type { Gauges } from '../../common/gauges.ts';
import { sizeText } from '../../common/size-text.ts';
import { table, type Column } from './table.ts';

/** What a program takes; its host is empty for the controller. */
export interface ToldGauges {
  readonly host: string;
  readonly gauges: Gauges;
}

const columns: readonly Column<ToldGauges>[] = [
  { title: 'PROGRAM', text: ({ host }) => host || 'controller' },
  { title: 'UP', text: ({ gauges }) => formatDuration(gauges.uptimeMs), narrow: 'dropped' },
  { title: 'MEMORY', text: ({ gauges }) => sizeText(gauges.residentBytes) },
  { title: 'HEAP', text: ({ gauges }) => sizeText(gauges.heapBytes) },
  { title: 'BUFFERS', text: ({ gauges }) => sizeText(gauges.bufferBytes), narrow: 'dropped' },
  { title: 'FILES', text: ({ gauges }) => String(gauges.fileDescriptors) },
  { title: 'HANDLES', text: ({ gauges }) => String(gauges.handles), narrow: 'dropped' },
  { title: 'LATE p50/p99/MAX', text: ({ gauges }) => lateText(gauges) },
  { title: 'LINKS', text: ({ gauges }) => String(gauges.links) },
  { title: 'STREAMS', text: ({ gauges }) => String(gauges.streams) },
  { title: 'RUNS', text: ({ gauges }) => String(gauges.runs) },
  { title: 'SPOOLED', text: ({ gauges }) => sizeText(gauges.spooledBytes) },
  { title: 'QUEUED', text: ({ gauges }) => String(gauges.queuedRecords) },
];

/** For people; `width` is that of their screen. */
export function gaugesTable(told: readonly ToldGauges[], width?: number): string {
  return table(columns, told, width);
}

/** For programs: a finding with more fields. */
export function gaugesFinding({ host, gauges }: ToldGauges): Finding & ToldGauges {
  const { residentBytes, loopDelay } = gauges;
  const text = `${sizeText(residentBytes)} of memory, at most ${milliseconds(loopDelay.maxUs)} ms late`;
  return { ...ok(host === '' ? 'gauges' : `gauges of ${host}`, text), host, gauges };
}

/** `0.1/2/31 ms`. */
function lateText({ loopDelay: { p50Us, p99Us, maxUs } }: Gauges): string {
  return `${[p50Us, p99Us, maxUs].map(milliseconds).join('/')} ms`;
}

function milliseconds(us: number): string {
  return us < 10_000 ? String(Math.round(us / 100) / 10) : String(Math.round(us / 1000));
}
