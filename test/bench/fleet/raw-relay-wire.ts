import { subscribe } from 'node:diagnostics_channel';
import type { ServerHttp2Stream } from 'node:http2';
import { ServerCredentials } from '@grpc/grpc-js';
import { bytesCall } from './raw-wire.ts';

/*
 * The least that gRPC needs to pass a stream of bytes on: an agent sends it, in messages, to a server, and that to a
 * client, with TLS on both legs, each at the pace of the next. What kompose does on top is held against it.
 */

/** Both begin with a message that names the stream. */
export const up = bytesCall('/raw.Relay/Up');
export const down = bytesCall('/raw.Relay/Down');

export const messageBytes = 64 * 1024;

/** HTTP/2's own are 64 KiB. */
export type Windows = 'raised' | 'default';

const raisedBytes = 4 * 1024 * 1024;

export function windowOptions(windows: Windows): Record<string, number> {
  return windows === 'raised' ? { 'grpc-node.flow_control_window': raisedBytes } : {};
}

/** PEM. */
export interface RelayPair {
  readonly ca: string;
  readonly key: string;
  readonly certificate: string;
}

/** grpc-js has no option for a server's windows: that of a stream goes with TLS, that of a connection to each session. */
export function serverCredentials({ ca, key, certificate }: RelayPair, windows: Windows): ServerCredentials {
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
  if (windows === 'default') return ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
  subscribe('http2.server.stream.start', (message) => {
    const { session } = (message as { readonly stream: ServerHttp2Stream }).stream;
    if (session !== undefined && 'setLocalWindowSize' in session) session.setLocalWindowSize(raisedBytes);
  });
  return new RaisedCredentials({ ca, key, certificate });
}

class RaisedCredentials extends ServerCredentials {
  constructor({ ca, key, certificate: cert }: RelayPair) {
    const settings = { initialWindowSize: raisedBytes };
    super({ requestCert: true, settings }, { ca, key, cert });
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
