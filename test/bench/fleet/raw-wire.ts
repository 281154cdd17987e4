import type { MethodDefinition } from '@grpc/grpc-js';

/*
 * The least that gRPC needs to hold one stream an agent: bytes go out and come back. What kompose does on top is held
 * against it.
 */

const same = (bytes: Buffer): Buffer => bytes;

/** A call of which both sides are streams of bytes as they are. */
export function bytesCall(path: string): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

export const attach = bytesCall('/raw.Raw/Attach');

/** About what a task is: an order with its signature, and two messages of events. */
export const orderBytes = 400;
export const reportBytes = 200;
export const reports = 2;
