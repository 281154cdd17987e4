import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';

/** What grpc-js has its subchannels ask for, and tells nobody of. */
const hidden = '_createSecureConnector';

/**
 * These credentials, so that a connection that is being made ends with its client: grpc-js leaves one whose TLS handshake
 * the peer does not answer to itself, open for as long as the peer has it. Whoever tries again and again would gather them,
 * and a controller that a whole fleet comes back to would have those who gave up in its queue.
 */
export function closingWithClient(credentials: ChannelCredentials): ChannelCredentials {
  const create = credentials[hidden].bind(credentials);
  credentials[hidden] = (...of) => {
    const connector = create(...of);
    const opening = new Set<Socket>();
    return {
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      connect: async (socket) => {
        opening.add(socket);
        try {
          return await connector.connect(socket);
        } finally {
          opening.delete(socket);
        }
      },
      destroy: () => {
        for (const socket of opening) socket.destroy();
        connector.destroy();
      },
    };
  };
  return credentials;
}
