/** Milliseconds of the machine's own clock, which all its processes have in common (CLOCK_MONOTONIC). */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
