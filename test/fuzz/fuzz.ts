import * as fc from 'fast-check';
import type { FuzzTarget } from './parsers.ts';

/** Of processor time, for one input: far more than any takes, and nothing to an input that never ends. */
const mostMs = 1_000;

/** Feeds a target with so many inputs, the same for the same seed. Rejects with the smallest input that breaks it. */
export async function fuzz({ name, inputs, take }: FuzzTarget, count: number, seed: number): Promise<void> {
  const property = fc.asyncProperty(inputs, async (input) => {
    const before = process.cpuUsage();
    await take(input);
    const { user, system } = process.cpuUsage(before);
    const ms = (user + system) / 1_000;
    if (ms > mostMs) throw new Error(`${name} took ${Math.round(ms)} ms`);
  });
  await fc.assert(property, { numRuns: count, seed, endOnFailure: false, interruptAfterTimeLimit: 600_000 });
}
