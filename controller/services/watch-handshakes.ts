import { Server as TlsServer, type TLSSocket } from 'node:tls';
import type { Server } from '@grpc/grpc-js';
import type { Refusals } from '../audit/refusals.ts';
import { certificateFlaw, isForged } from './certificate-flaw.ts';

/** By the code of the error. Whoever merely hangs up (ECONNRESET) is not refused. */
const reasons: Readonly<Record<string, string>> = {
  ERR_SSL_HTTP_REQUEST: 'it is no TLS, but HTTP',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'it does not speak HTTP/2',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it does not speak TLS 1.3',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it is no TLS',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'it has not ended its handshake in time',
};

/**
 * Records who does not get past the TLS handshake: no call of theirs reaches the gatekeeper. The server has its
 * connection injector; throws a bug if grpc-js keeps its TLS server elsewhere than it does.
 */
export function watchHandshakes(server: Server, refusals: Pick<Refusals, 'tell'>): void {
  const tell = ({ remoteAddress }: TLSSocket, reason: string): void =>
    void refusals.tell({
      type: 'connection.refused',
      actor: { name: '', role: '', certificate: '' },
      clientAddress: remoteAddress ?? '',
      reason,
    });
  const tls = tlsServerOf(server);
  // Before HTTP/2 destroys it, while its address is known.
  tls.prependListener('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    const { code = error.message } = error;
    if (code !== 'ECONNRESET') tell(socket, `the TLS handshake failed: ${reasons[code] ?? code}`);
  });
  tls.prependListener('secureConnection', (socket) => {
    if (!isForged(socket)) return;
    tell(socket, `no valid client certificate (${certificateFlaw(socket) ?? ''})`);
    socket.destroy();
  });
}

/** grpc-js tells nobody of handshakes, and hides who could. */
function tlsServerOf(server: Server): TlsServer {
  const { http2Servers } = server as unknown as { readonly http2Servers: ReadonlyMap<unknown, unknown> };
  for (const each of http2Servers.keys()) if (each instanceof TlsServer) return each;
  throw new Error('this version of grpc-js has no TLS server where it is looked for');
}
