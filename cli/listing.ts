import { jsonLine } from '../common/printable.ts';
import type { ClientReadableStream } from '@grpc/grpc-js';
import type { Option } from 'commander';
import type { FleetClient } from '../proto/gen/kompose/v1/fleet.ts';
import { say, type Call } from './call.ts';
import { parseCount, valued } from './options.ts';
import { table, type Column } from './output/table.ts';

/** How the rows of a listing look to people and to programs. */
export interface Listing<Row> {
  readonly columns: readonly Column<Row>[];
  /** One compact object a row; the names of section 8 of the command contract. */
  readonly json: (row: Row) => object;
  /** What to say when there are none. */
  readonly nothing: string;
}

export function limitOption(): Option {
  return valued('--limit <n>', 'no more than so many (all unless given)', parseCount('--limit', 1));
}

/** Asks the controller and shows what it answers. Gives the exit code. */
export async function showListing<Row>(
  call: Call,
  listing: Listing<Row>,
  open: (client: FleetClient) => ClientReadableStream<Row>,
  limit?: number,
): Promise<number> {
  using fleet = await call.connect();
  return await showRows(call, listing, fleet.read(open(fleet.client)), limit);
}

/** JSON goes out row by row; a table needs all rows for its widths. Gives the exit code. */
export async function showRows<Row>(
  call: Call,
  listing: Listing<Row>,
  rows: AsyncIterable<Row>,
  limit = Infinity,
): Promise<number> {
  const isJson = call.globals.output === 'json';
  const held: Row[] = [];
  let count = 0;
  for await (const row of rows) {
    if (isJson) {
      call.terminal.stdout(`${jsonLine(listing.json(row))}\n`);
      await call.terminal.drained();
    } else {
      held.push(row);
    }
    if (++count >= limit) break;
  }
  if (isJson) return 0;
  if (count > 0) call.terminal.stdout(table(listing.columns, held, call.terminal.columns));
  else say(call, listing.nothing);
  return 0;
}
