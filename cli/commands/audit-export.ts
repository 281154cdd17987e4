import type { Call } from '../call.ts';
import type { Fleet } from '../client.ts';

/** Unix milliseconds; absent means no bound. */
export interface ExportedTime {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** The bytes of an export as they come. */
export async function* exportChunks(
  fleet: Fleet,
  { since = 0, until = 0 }: ExportedTime,
): AsyncGenerator<Uint8Array> {
  const call = fleet.client.exportAudit({ sinceUnixMs: since, untilUnixMs: until });
  for await (const { data } of fleet.read(call)) yield data;
}

/** Prints an export just as the controller sends it. */
export async function exportAudit(call: Call, time: ExportedTime): Promise<number> {
  using fleet = await call.connect();
  for await (const chunk of exportChunks(fleet, time)) {
    call.terminal.stdout(chunk);
    await call.terminal.drained();
  }
  return 0;
}
