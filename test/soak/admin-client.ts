import { loadContext } from '../../cli/contexts.ts';
import type { Gauges } from '../../common/gauges.ts';
import { channelOptionsFor } from '../../proto/channel-options.ts';
import { identityCredentials } from '../../proto/enrol.ts';
import { FleetClient } from '../../proto/gen/kompose/v1/fleet.ts';
import { versionMetadata } from '../integration/controller/version-metadata.ts';

/** Asks the controller for gauges over one link, so that asking each second costs next to nothing. */
export class AdminClient implements Disposable {
  readonly #client: FleetClient;

  private constructor(client: FleetClient) {
    this.#client = client;
  }

  /** With the login that is in a folder `user`. */
  static async open(userFolder: string, address: string): Promise<AdminClient> {
    const context = await loadContext(userFolder, undefined);
    const options = channelOptionsFor(context.caCertificate);
    return new AdminClient(new FleetClient(address, identityCredentials(context), options));
  }

  /** Of the controller, which is the empty name, and of the hosts among these that answer. */
  async gauges(hosts: readonly string[]): Promise<Map<string, Gauges>> {
    const filter = { hosts: hosts.filter((host) => host !== ''), labels: [] };
    const deadline = Date.now() + 10_000;
    const told = new Map<string, Gauges>();
    for await (const answer of this.#client.listGauges({ filter }, versionMetadata(), { deadline })) {
      const { host, gauges } = answer as { host: string; gauges: Gauges | undefined };
      if (gauges !== undefined) told.set(host, gauges);
    }
    return told;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
