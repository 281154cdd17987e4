import type { ChannelOptions } from '@grpc/grpc-js';
import { tlsNameOf, trustOf } from './trust.ts';

/** Of a stream and of a connection. HTTP/2's default of 64 KiB bounds a stream to 64 KiB a round trip. */
export const flowControlWindowBytes = 4 * 1024 * 1024;

/** The largest message either side accepts; output travels in chunks of at most 64 KiB. */
export const maxMessageBytes = 4 * 1024 * 1024;

/**
 * The name that every controller's certificate bears. Clients check it in place of the address they dialled: whom
 * they trust is decided by the fleet's own CA, which signs no other server, and an IP address is no TLS server name.
 */
export const controllerTlsName = 'kompose-controller';

/** Options of every client channel; the CA apart that it asks for. */
export const clientChannelOptions: ChannelOptions = {
  'grpc.ssl_target_name_override': controllerTlsName,
  'grpc-node.flow_control_window': flowControlWindowBytes,
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
  // Nobody asks for it: neither what channelz would count, nor what DNS says of how to call.
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
};

/** Likewise for one who trusts these CAs (PEM), the newest last: that is the one whose certificate is asked for. */
export function channelOptionsFor(caCertificates: string): ChannelOptions {
  const newest = trustOf(caCertificates).at(-1);
  if (newest === undefined) return clientChannelOptions;
  return { ...clientChannelOptions, 'grpc.ssl_target_name_override': tlsNameOf(newest) };
}
