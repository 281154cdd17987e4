import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  ServerListenerBuilder,
  status as grpcStatus,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { KomposeError } from '../../common/errors.ts';
import { AgentLinkService } from '../../proto/gen/kompose/v1/agent_link.ts';
import { EnrolmentService } from '../../proto/gen/kompose/v1/enrolment.ts';
import { toStatus } from '../../proto/status.ts';
import type { Refusals } from '../audit/refusals.ts';
import { findUser, type Peer } from '../identity/directory.ts';
import type { Store } from '../store/store.ts';
import type { Limits } from './limits.ts';
import { clientAddress, peerOf, unknownPeer } from './peer.ts';
import { Turnstile } from './turnstile.ts';

interface Deps {
  readonly limits: Limits;
  readonly store: Store;
  readonly refusals: Refusals;
  /** Told of each ADDR:PORT that has shown a certificate; throws where it has too many connections. */
  readonly knows: (peer: string, certificate: string) => void;
}

type Call = Parameters<ServerInterceptor>[1];

const refusing = new Set([grpcStatus.UNAUTHENTICATED, grpcStatus.PERMISSION_DENIED]);
/** For those who have no certificate yet. What goes wrong there is recorded where tokens are used. */
const openPaths = new Set<string>([EnrolmentService.join.path, EnrolmentService.login.path]);
const agentPaths = new Set<string>(Object.values(AgentLinkService).map(({ path }) => path));

/**
 * Stands before every method there is: without a certificate only Join and Login are reached, no peer has more calls
 * than its share, and who is turned away, here or by the method itself, is recorded before the answer goes out.
 */
export function gatekeeper(deps: Deps): ServerInterceptor {
  const turnstile = new Turnstile();
  return ({ path }, call) => {
    let leave: () => void = () => undefined;
    let isServed = false;
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        try {
          leave = admit(deps, turnstile, path, call, metadata);
        } catch (error) {
          guarded.sendStatus(toStatus(error));
          return;
        }
        next(metadata);
      })
      .withOnCancel(() => {
        leave();
        leave = () => undefined;
      })
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendMessage((message, next) => {
        isServed = true;
        next(message);
      })
      .withSendStatus((status, next) => {
        const { code, details } = status;
        if (isServed || openPaths.has(path) || !refusing.has(code)) next(status);
        else void tell(deps, path, call, details).finally(() => next(status));
      })
      .build();
    const guarded = new ServerInterceptingCall(call, responder);
    return guarded;
  };
}

/** Throws `unauthenticated` and `too-many-requests`. */
function admit(
  { limits, knows }: Deps,
  turnstile: Turnstile,
  path: string,
  call: Call,
  metadata: Metadata,
): () => void {
  const peer = peerOf(call);
  if (peer === undefined) {
    const leave = turnstile.enter(clientAddress(call), limits.stranger);
    if (openPaths.has(path)) return leave;
    leave();
    throw unknownPeer(agentPaths.has(path) ? 'host' : 'user', metadata);
  }
  knows(call.getPeer(), peer.fingerprint);
  return turnstile.enter(peer.fingerprint, limits[peer.kind]);
}

async function tell({ store, refusals }: Deps, path: string, call: Call, reason: string): Promise<void> {
  const peer = peerOf(call);
  const isHostRefused = peer?.kind === 'host' && agentPaths.has(path);
  await refusals.tell({
    type: isHostRefused ? 'host.refused' : 'request.denied',
    actor: { name: peer?.name ?? '', role: await roleOf(store, peer), certificate: peer?.fingerprint ?? '' },
    ...(isHostRefused ? { host: peer.name } : {}),
    clientAddress: clientAddress(call),
    reason,
    detail: { method: path.split('/').at(-1) ?? path },
  });
}

async function roleOf(store: Store, peer: Peer | undefined): Promise<string> {
  if (peer?.kind === 'host') return 'agent';
  if (peer === undefined) return '';
  return findUser(store, peer).then(
    ({ role }) => role,
    (error: unknown) => {
      if (KomposeError.from(error).code === 'internal') throw error;
      return '';
    },
  );
}
