import { channelOptionsFor } from '../../proto/channel-options.ts';
import { identityCredentials, unary, type Identity } from '../../proto/enrol.ts';
import { AgentLinkClient, type CheckHostResponse } from '../../proto/gen/kompose/v1/agent_link.ts';
import { KomposeError } from '../../common/errors.ts';
import { fromStatus } from '../../proto/status.ts';

const timeoutMs = 5_000;

/** How the controller at one address sees this host. */
export interface HostCheck {
  readonly controllerVersion: string;
  /** An agent of this host is linked. */
  readonly online: boolean;
  /** This machine's clock minus the controller's, to half a round trip. */
  readonly clockSkewMs: number;
}

/**
 * Shakes hands with the controller and makes a real call, with the host's own certificate; changes nothing. Errors:
 * `controller-unreachable` after five seconds of silence, `denied`, `unauthenticated`, `protocol`.
 */
export async function checkHost(address: string, identity: Identity): Promise<HostCheck> {
  const channelOptions = channelOptionsFor(identity.caCertificate);
  const client = new AgentLinkClient(address, identityCredentials(identity), channelOptions);
  try {
    await ready(client, address);
    const sentMs = Date.now();
    const answer = await unary<CheckHostResponse>(address, (callback) => client.checkHost({}, callback));
    const halfWay = (sentMs + Date.now()) / 2;
    const { controllerVersion, online, nowUnixMs } = answer;
    return { controllerVersion, online, clockSkewMs: Math.round(halfWay - nowUnixMs) };
  } finally {
    client.close();
  }
}

/** Never hears why it failed, so a call is asked, which does. */
function ready(client: AgentLinkClient, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    client.waitForReady(Date.now() + timeoutMs, (error) => {
      if (error === undefined) {
        resolve();
        return;
      }
      client.checkHost({}, (cause) => {
        if (cause === null) resolve();
        else reject(fromStatus(cause, address));
      });
      setTimeout(() => reject(noAnswer(address)), 500).unref();
    });
  });
}

function noAnswer(address: string): KomposeError {
  return new KomposeError('controller-unreachable', `the controller at ${address} does not answer`);
}
