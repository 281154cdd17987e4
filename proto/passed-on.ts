import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import { makeGenericClientConstructor } from '@grpc/grpc-js';
import {
  AgentLinkService,
  AgentMessage,
  ControllerMessage,
  TaskControl,
  TaskReport,
  type AgentLinkClient,
} from './gen/kompose/v1/agent_link.ts';
import { RunEvent } from './gen/kompose/v1/event.ts';
import { FleetService, StartRunInput, type FleetClient } from './gen/kompose/v1/fleet.ts';
import { LongBytesWriter } from './long-bytes-writer.ts';
import { ShortWriter } from './short-writer.ts';

/*
 * The calls on which a task's output travels, and its stdin, with as few copies of them as gRPC allows: what ts-proto
 * generates for them copies each message six times. Likewise the links of agents, on which messages are short and many.
 */

/** `AgentLinkClient`, which copies what is reported once. */
export const PassingAgentLinkClient = makeGenericClientConstructor(
  {
    ...AgentLinkService,
    attach: { ...AgentLinkService.attach, requestSerialize: short(AgentMessage) },
    report: { ...AgentLinkService.report, requestSerialize: copyingOnce(TaskReport) },
  },
  'kompose.v1.AgentLink',
) as unknown as typeof AgentLinkClient;

/** `AgentLinkService`, which copies what is typed once. */
export const passingAgentLinkService = {
  ...AgentLinkService,
  attach: { ...AgentLinkService.attach, responseSerialize: short(ControllerMessage) },
  report: { ...AgentLinkService.report, responseSerialize: copyingOnce(TaskControl) },
} as const;

/** `FleetClient`, which copies its stdin once. */
export const PassingFleetClient = makeGenericClientConstructor(
  { ...FleetService, startRun: { ...FleetService.startRun, requestSerialize: copyingOnce(StartRunInput) } },
  'kompose.v1.Fleet',
) as unknown as typeof FleetClient;

/** What ts-proto makes of a message. */
interface Codec<Message> {
  encode(message: Message, writer?: BinaryWriter): BinaryWriter;
}

function copyingOnce<Message>(codec: Codec<Message>): (message: Message) => Buffer {
  return (message) => asBuffer(codec.encode(message, new LongBytesWriter()).finish());
}

function short<Message>(codec: Codec<Message>): (message: Message) => Buffer {
  return (message) => {
    const writer = new ShortWriter();
    codec.encode(message, writer);
    return writer.finishShared();
  };
}

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

/** The same bytes. */
function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** `FleetService`, which sends what `decodeLogged` gave without encoding it again. */
export const passingFleetService = {
  ...FleetService,
  startRun: { ...FleetService.startRun, responseSerialize: serializeEvent },
  watchRun: { ...FleetService.watchRun, responseSerialize: serializeEvent },
} as const;
