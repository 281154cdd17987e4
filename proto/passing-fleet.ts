import { makeGenericClientConstructor } from '@grpc/grpc-js';
import { RunEvent } from './gen/kompose/v1/event.ts';
import { FleetService, StartRunInput, type FleetClient } from './gen/kompose/v1/fleet.ts';
import { LongBytesWriter } from './long-bytes-writer.ts';
import { asBuffer, copyingOnce } from './passing.ts';

/** `FleetClient`, which copies its stdin once. */
export const PassingFleetClient = makeGenericClientConstructor(
  { ...FleetService, startRun: { ...FleetService.startRun, requestSerialize: copyingOnce(StartRunInput) } },
  'kompose.v1.Fleet',
) as unknown as typeof FleetClient;

/** The bytes of events that were decoded and not changed since. */
const asLogged = new WeakMap<RunEvent, Uint8Array>();

/** An event that goes to clients as it is here, unless another one is made of it. Throws what protobuf throws. */
export function decodeLogged(bytes: Uint8Array): RunEvent {
  const event = RunEvent.decode(bytes);
  asLogged.set(event, bytes);
  return event;
}

/** Field 10, `more`, as protobuf tags it. */
const moreTag = (10 << 3) | 2;

/** One message of events that `decodeLogged` gave, or was given other forms of, in order; at least one. */
export function joinEvents([first, ...others]: readonly [RunEvent, ...RunEvent[]]): RunEvent {
  if (others.length === 0) return first;
  const writer = new LongBytesWriter().raw(serializeEvent(first));
  for (const event of others) writer.uint32(moreTag).bytes(serializeEvent(event));
  const joined = { ...first };
  asLogged.set(joined, writer.finish());
  return joined;
}

/** Bytes of an event that goes out as it is here; undefined of any other. */
export function sizeAsLogged(event: RunEvent): number | undefined {
  return asLogged.get(event)?.length;
}

function serializeEvent(event: RunEvent): Buffer {
  return asBuffer(asLogged.get(event) ?? RunEvent.encode(event, new LongBytesWriter()).finish());
}

/** `FleetService`, which sends what `decodeLogged` gave without encoding it again. */
export const passingFleetService = {
  ...FleetService,
  startRun: { ...FleetService.startRun, responseSerialize: serializeEvent },
  watchRun: { ...FleetService.watchRun, responseSerialize: serializeEvent },
} as const;
