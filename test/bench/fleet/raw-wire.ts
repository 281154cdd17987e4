import type { MethodDefinition } from '@grpc/grpc-js';

/*
 * The least that gRPC needs to hold one stream an agent: bytes go out and come back. What kompose does on top is held
 * against it.
 */

const same = (bytes: Buffer): Buffer => bytes;

export const attach: MethodDefinition<Buffer, Buffer> = {
  path: '/raw.Raw/Attach',
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

/** About what a task is: an order with its signature, and two messages of events. */
export const orderBytes = 400;
export const reportBytes = 200;
export const reports = 2;
