import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { LoopDelay, ProcessGauges } from './gauges.ts';

/** A delay shorter than this may not be seen; each look wakes the process. */
const resolutionMs = 20;
const windowMs = 60_000;

type Delay = ReturnType<typeof monitorEventLoopDelay>;

/**
 * Looks at this process: its memory, files and handles when it is asked, the delay of its event loop all the time. Made
 * once a program; dispose of it to stop that.
 */
export class ProcessGauge implements Disposable {
  readonly #delay: Delay;
  readonly #turn: NodeJS.Timeout;
  /** Of the last whole minute. */
  #before: LoopDelay = { p50Us: 0, p99Us: 0, maxUs: 0 };

  constructor() {
    this.#delay = monitorEventLoopDelay({ resolution: resolutionMs });
    this.#delay.enable();
    this.#turn = setInterval(() => {
      this.#before = delayOf(this.#delay);
      this.#delay.reset();
    }, windowMs).unref();
  }

  read(): ProcessGauges {
    const { rss, heapUsed, external } = process.memoryUsage();
    return {
      uptimeMs: Math.round(process.uptime() * 1000),
      residentBytes: rss,
      heapBytes: heapUsed,
      bufferBytes: external,
      fileDescriptors: countFiles(),
      handles: process.getActiveResourcesInfo().length,
      loopDelay: worse(this.#before, delayOf(this.#delay)),
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#turn);
    this.#delay.disable();
  }
}

/** Node counts from one look to the next, so that an idle loop has the resolution itself. */
function delayOf(delay: Delay): LoopDelay {
  const us = (ns: number): number => Math.max(0, Math.round(ns / 1000) - resolutionMs * 1000);
  if (delay.count === 0) return { p50Us: 0, p99Us: 0, maxUs: 0 };
  return { p50Us: us(delay.percentile(50)), p99Us: us(delay.percentile(99)), maxUs: us(delay.max) };
}

function worse(one: LoopDelay, other: LoopDelay): LoopDelay {
  return {
    p50Us: Math.max(one.p50Us, other.p50Us),
    p99Us: Math.max(one.p99Us, other.p99Us),
    maxUs: Math.max(one.maxUs, other.maxUs),
  };
}

/** Without the one that counting takes. */
function countFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return 0;
  }
}
