import { headType, linesOf } from '../../common/audit/verify-chain.ts';
import { cefLine } from '../output/cef.ts';
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

/** Prints an export just as the controller sends it, or each record as a line of CEF. */
export async function exportAudit(call: Call, time: ExportedTime, isCef: boolean): Promise<number> {
  using fleet = await call.connect();
  const chunks = exportChunks(fleet, time);
  for await (const piece of isCef ? cefLines(chunks) : chunks) {
    call.terminal.stdout(piece);
    await call.terminal.drained();
  }
  return 0;
}

async function* cefLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  for await (const line of linesOf(chunks)) {
    const record = JSON.parse(line.toString('utf8')) as Record<string, unknown>;
    if (record['type'] !== headType) yield `${cefLine(record)}\n`;
  }
}
