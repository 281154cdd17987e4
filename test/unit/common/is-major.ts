import { constants, type PerformanceEntry } from 'node:perf_hooks';

/** Of an entry `gc`: the whole heap was collected. */
export function isMajor(entry: PerformanceEntry): boolean {
  const { kind } = (entry as PerformanceEntry & { detail: { kind: number } }).detail;
  return kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
