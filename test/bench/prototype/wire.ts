import type { MethodDefinition } from '@grpc/grpc-js';

/*
 * The least that a command line, a controller and agents over gRPC with mutual TLS have to tell each other: what they
 * record, who may do what, what is kept for whom was away: nothing of that. kompose is held against it.
 */

/** The command line's: a bash command for the first `hosts` of the fleet. */
export interface Asked {
  readonly hosts: number;
  readonly command: string;
}

/** To an agent. */
export interface Order {
  readonly id: number;
  readonly command: string;
}

/** An agent's: first who it is, then what its commands say and how they end. */
export type Report =
  | { readonly name: string }
  | { readonly id: number; readonly text: string }
  | { readonly id: number; readonly exitCode: number };

/** To the command line; the stream ends after the last host's exit code. */
export type Said = { readonly host: string } & ({ readonly text: string } | { readonly exitCode: number });

function serialize(message: unknown): Buffer {
  return Buffer.from(JSON.stringify(message));
}

function deserialize(bytes: Buffer): unknown {
  return JSON.parse(bytes.toString());
}

const codec = {
  requestSerialize: serialize,
  responseSerialize: serialize,
};

export const attach: MethodDefinition<Report, Order> = {
  ...codec,
  path: '/prototype.Prototype/Attach',
  requestStream: true,
  responseStream: true,
  requestDeserialize: (bytes) => deserialize(bytes) as Report,
  responseDeserialize: (bytes) => deserialize(bytes) as Order,
};

/** As `run`, for one command after the other: the stream stays open. */
export const converse: MethodDefinition<Asked, Said> = {
  ...codec,
  path: '/prototype.Prototype/Converse',
  requestStream: true,
  responseStream: true,
  requestDeserialize: (bytes) => deserialize(bytes) as Asked,
  responseDeserialize: (bytes) => deserialize(bytes) as Said,
};

export const run: MethodDefinition<Asked, Said> = {
  ...codec,
  path: '/prototype.Prototype/Run',
  requestStream: false,
  responseStream: true,
  requestDeserialize: (bytes) => deserialize(bytes) as Asked,
  responseDeserialize: (bytes) => deserialize(bytes) as Said,
};
