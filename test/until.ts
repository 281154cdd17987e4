import { setTimeout as pause } from 'node:timers/promises';

/**
 * Asks until something holds; rejects with `what` when that took too long. To ask may be to start a client, which is
 * work for a processor that others wait for: hence a pause as long as the asking.
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const startMs = performance.now();
    if (await holds()) return;
    if (performance.now() > deadline) throw new Error(`not so after ${timeoutMs} ms: ${what}`);
    await pause(Math.max(10, performance.now() - startMs));
  }
}
