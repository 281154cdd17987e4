import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Gauges } from '../../common/gauges.ts';
import type { AdminClient } from './admin-client.ts';
import type { Program } from './soak-fleet.ts';

/** What a process takes at one moment, from /proc and, where it has them, by its gauges. */
export interface Sample {
  /** Seconds since the first. */
  readonly second: number;
  readonly residentKb: number;
  /** What it shares with nobody and with no file. */
  readonly privateKb: number;
  readonly files: number;
  readonly gauges: Gauges | undefined;
}

const periodMs = 1_000;

/** Samples each program every second until the signal fires; by name. What is away has no sample. */
export async function sample(
  programs: () => readonly Program[],
  admin: AdminClient,
  signal: AbortSignal,
): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>();
  const startMs = performance.now();
  while (!signal.aborted) {
    const nextMs = performance.now() + periodMs;
    const present = programs().filter(({ pid }) => pid > 0);
    const gauges = await admin
      .gauges(present.flatMap(({ host }) => host ?? []))
      .catch(() => new Map<string, Gauges>());
    const second = (performance.now() - startMs) / 1000;
    for (const { name, host, pid } of present) {
      const seen = await look(pid).catch(() => undefined);
      if (seen === undefined) continue;
      const row = samples.get(name) ?? [];
      samples.set(name, row);
      row.push({ second, ...seen, gauges: host === undefined ? undefined : gauges.get(host) });
    }
    await delay(Math.max(0, nextMs - performance.now()), undefined, { signal }).catch(() => undefined);
  }
  return samples;
}

async function look(pid: number): Promise<Pick<Sample, 'residentKb' | 'privateKb' | 'files'>> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => {
    const [, kilobytes] = new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status) ?? [];
    if (kilobytes === undefined) throw new Error(`process ${pid} is ending`);
    return Number(kilobytes);
  };
  const files = await readdir(`/proc/${pid}/fd`);
  return { residentKb: field('VmRSS'), privateKb: field('RssAnon'), files: files.length };
}
