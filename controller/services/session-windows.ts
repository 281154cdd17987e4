import { subscribe } from 'node:diagnostics_channel';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { flowControlWindowBytes } from '../../proto/channel-options.ts';

/**
 * Raises the connection-wide HTTP/2 window of every session that a client opens. grpc-js has no option for it on a
 * server, and hides its sessions; Node tells of each new stream on a diagnostics channel.
 */
export function raiseSessionWindows(): void {
  const raised = new WeakSet<ServerHttp2Session>();
  subscribe('http2.server.stream.start', (message) => {
    const { session } = (message as { stream: ServerHttp2Stream }).stream;
    if (!isServerSession(session) || raised.has(session)) return;
    raised.add(session);
    session.setLocalWindowSize(flowControlWindowBytes);
  });
}

function isServerSession(session: ServerHttp2Stream['session']): session is ServerHttp2Session {
  return session !== undefined && !session.destroyed;
}
