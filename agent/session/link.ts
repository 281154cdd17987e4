import type { ChannelCredentials, ChannelOptions, ClientDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { createBackoff } from '../../common/backoff.ts';
import { KomposeError } from '../../common/errors.ts';
import { channelOptionsFor } from '../../proto/channel-options.ts';
import { identityCredentials, type Identity } from '../../proto/enrol.ts';
import {
  type AgentLinkClient,
  type AgentMessage,
  type ControllerMessage,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import { PassingAgentLinkClient } from '../../proto/passing-link.ts';
import { fromStatus } from '../../proto/status.ts';
import { trustOf } from '../../proto/trust.ts';
import type { AgentCertificate } from './renewal.ts';
import { Session, type SessionHost } from './session.ts';

/** A controller that a whole fleet comes back to takes some seconds for each thousand of agents: who gives up queues anew. */
const connectTimeoutMs = 60_000;
const firstPauseMs = 200;
const longestPauseMs = 15_000;
const healthyMs = 60_000;

export interface LinkOptions {
  /** HOST:PORT, tried in turn. */
  readonly addresses: readonly string[];
  readonly certificate: AgentCertificate;
  readonly host: SessionHost;
  readonly log: Logger;
  /** Called at each link that stands. */
  readonly onConnected: (address: string) => void;
  /** Called at the end of each try, whether a link stood or not. */
  readonly onLost: () => void;
}

interface TryOptions extends LinkOptions {
  readonly linkNumber: number;
  /** A link stands; says within how long to come back if it is lost. */
  readonly onWelcome: (returnWithinMs: number) => void;
  /** The controller is stopping, and says when to come back. */
  readonly onFarewell: (returnAfterMs: number) => void;
}

/**
 * Keeps the agent linked to its controller until the signal fires: connects, serves the session, and after a loss
 * comes back when the controller has asked it to, else with growing, jittered pauses, short again once a link was healthy
 * for a minute. Throws what must not be tried again: `conflict` (a later instance of this agent took over), `denied` (the
 * host was removed), `protocol` (the controller speaks another version).
 */
export async function keepLinked(options: LinkOptions, signal: AbortSignal): Promise<void> {
  const backoff = createBackoff(firstPauseMs, longestPauseMs);
  for (let tries = 0; !signal.aborted; tries++) {
    const address = options.addresses[tries % options.addresses.length] ?? '';
    const startedMs = performance.now();
    let returnAfterMs: number | undefined;
    let spreadMs = 0;
    const onWelcome = (ms: number): void => {
      spreadMs = Math.min(ms, longestPauseMs);
    };
    const onFarewell = (ms: number): void => {
      returnAfterMs = Math.min(ms, longestPauseMs);
    };
    const hooks = { linkNumber: tries + 1, onWelcome, onFarewell };
    const error = await serveOnce({ ...options, ...hooks }, address, signal);
    options.onLost();
    if (signal.aborted) return;
    if (['conflict', 'denied', 'unauthenticated', 'protocol', 'unsupported'].includes(error.code))
      throw error;
    if (performance.now() - startedMs > healthyMs) backoff.reset();
    const pauseMs = returnAfterMs ?? backoff.next() + Math.random() * spreadMs;
    options.log.warn(
      { address, pauseMs: Math.round(pauseMs) },
      `no link to the controller: ${error.message}`,
    );
    await pause(pauseMs, signal);
  }
}

/** What every link of an identity begins with. */
interface Standing {
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
  readonly trusts: readonly string[];
}

const standings = new WeakMap<Identity, Standing>();

/** Made once an identity: to read its key and certificates takes as long as the handshake that follows. */
function standingOf(identity: Identity): Standing {
  const { caCertificate } = identity;
  const standing = standings.get(identity) ?? {
    credentials: identityCredentials(identity),
    options: channelOptionsFor(caCertificate),
    trusts: trustOf(caCertificate),
  };
  standings.set(identity, standing);
  return standing;
}

/** One link from its beginning to its end; says why it ended. */
async function serveOnce(options: TryOptions, address: string, signal: AbortSignal): Promise<KomposeError> {
  // A fresh client each time: a channel of grpc-js that met a silent peer stays in CONNECTING for ever.
  const { credentials, options: channelOptions, trusts } = standingOf(options.certificate.current);
  const client = new PassingAgentLinkClient(address, credentials, channelOptions);
  try {
    await waitForReady(client, address);
    return await serveStream({ ...options, trusts }, client, address, signal);
  } catch (error) {
    return fromStatus(error, address);
  } finally {
    client.close();
  }
}

function waitForReady(client: AgentLinkClient, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    client.waitForReady(Date.now() + connectTimeoutMs, (error) => {
      if (error === undefined) resolve();
      else reject(new KomposeError('controller-unreachable', `${address} does not answer`, { cause: error }));
    });
  });
}

async function serveStream(
  options: TryOptions & Pick<Standing, 'trusts'>,
  client: AgentLinkClient,
  address: string,
  signal: AbortSignal,
): Promise<KomposeError> {
  const stream: ClientDuplexStream<AgentMessage, ControllerMessage> = client.attach();
  const ended = Promise.withResolvers<KomposeError>();
  const end = (error: KomposeError): void => {
    ended.resolve(error);
    stream.cancel();
  };
  const onWelcome = (returnWithinMs: number): void => {
    options.onWelcome(returnWithinMs);
    options.onConnected(address);
  };
  /** What was begun on this link goes on over the next one, which stands on the new certificate. */
  const onRenewalDue = (): void => {
    void options.certificate.renew(address).then((isNew) => {
      if (isNew) end(new KomposeError('controller-unreachable', 'linking anew with the new certificate'));
    });
  };
  const onFarewell = (returnAfterMs: number): void => {
    options.onFarewell(returnAfterMs);
    end(new KomposeError('controller-unreachable', 'the controller is stopping'));
  };
  const { host, log, linkNumber, trusts } = options;
  const session = new Session({
    host,
    linkNumber,
    trusts,
    client,
    stream,
    end,
    onWelcome,
    onFarewell,
    onRenewalDue,
    log,
  });
  const onAbort = (): void => end(new KomposeError('controller-unreachable', 'the agent is stopping'));
  signal.addEventListener('abort', onAbort, { once: true });
  stream.on('data', (message: ControllerMessage) => session.receive(message));
  stream.on('error', (error) => end(fromStatus(error, address)));
  stream.on('end', () => end(new KomposeError('controller-unreachable', 'the controller ended the link')));
  try {
    session.open();
    return await ended.promise;
  } finally {
    session.close();
    signal.removeEventListener('abort', onAbort);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}
