import { readFile, writeFile } from 'node:fs/promises';
import type { KomposeFleet } from '../fleet/kompose-fleet.ts';

/** Megabytes of resident memory. */
export interface Peak {
  readonly beforeMb: number;
  readonly peakMb: number;
}

/** Of the three programs while a client runs. */
export interface Peaks {
  readonly controller: Peak;
  readonly agent: Peak;
  readonly clientPeakMb: number;
}

/** The memory of a served program while `work` goes on. */
export async function peakOf(pid: number, work: Promise<unknown>): Promise<Peak> {
  // Resets the peak.
  await writeFile(`/proc/${pid}/clear_refs`, '5');
  const beforeMb = await megabytes(pid, 'VmRSS');
  await work;
  return { beforeMb, peakMb: await megabytes(pid, 'VmHWM') };
}

/** The most that a process had that ends with `work`; looked at every 50 ms. */
async function peakUntilEnd(pid: number, work: Promise<unknown>): Promise<number> {
  let peakMb = 0;
  const look = async (): Promise<void> => {
    peakMb = Math.max(peakMb, await megabytes(pid, 'VmHWM').catch(() => 0));
  };
  const timer = setInterval(() => void look(), 50);
  await work.finally(() => clearInterval(timer));
  return peakMb;
}

/** Runs a client and tells the memory of all three programs meanwhile. */
export async function peaksWhile(
  fleet: KomposeFleet,
  host: string,
  client: Promise<unknown> & { readonly pid?: number | undefined },
): Promise<Peaks> {
  const [controller, agent, clientPeakMb] = await Promise.all([
    peakOf(fleet.pid('controller'), client),
    peakOf(fleet.pid(host), client),
    peakUntilEnd(client.pid ?? 0, client),
  ]);
  return { controller, agent, clientPeakMb };
}

/** `agent 80 MB, at most 95 MB`. */
export function describePeak(who: string, { beforeMb, peakMb }: Peak): string {
  return `${who.padEnd(10)} ${beforeMb} MB before, at most ${peakMb} MB (+${peakMb - beforeMb})`;
}

async function megabytes(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, kilobytes = '0'] = new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(status) ?? [];
  return Math.round(Number(kilobytes) / 1024);
}
