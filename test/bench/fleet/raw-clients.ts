import { Client, Metadata } from '@grpc/grpc-js';
import { channelOptionsFor } from '../../../proto/channel-options.ts';
import { identityCredentials } from '../../../proto/enrol.ts';
import { answerParent } from './answering.ts';
import type { LightHost } from './light-agent.ts';
import { attach, reportBytes, reports } from './raw-wire.ts';

/** What may be asked of it. */
export interface RawClientQuestions {
  /** All at once, in place of those that were there; gives the Unix time when each has its answer to its hello. */
  connect: { ask: { readonly address: string; readonly hosts: readonly LightHost[] }; answer: number };
}

const report = Buffer.alloc(reportBytes, 'r');
let clients: readonly Client[] = [];

answerParent<RawClientQuestions>({
  connect: async ({ address, hosts }) => {
    for (const client of clients) client.close();
    clients = hosts.map(({ identity }) => {
      return new Client(address, identityCredentials(identity), channelOptionsFor(identity.caCertificate));
    });
    await Promise.all(clients.map(link));
    return Date.now();
  },
});

/** Says hello, and from the answer on answers each order with its reports. */
function link(client: Client): Promise<void> {
  const { path, requestSerialize, responseDeserialize } = attach;
  // Where ten thousand come at once, the kernel turns some away, who come again.
  const patient = new Metadata({ waitForReady: true });
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, patient);
  return new Promise((resolve, reject) => {
    let isLinked = false;
    stream.on('error', reject);
    stream.on('data', () => {
      if (isLinked) for (let count = 0; count < reports; count++) stream.write(report);
      isLinked = true;
      resolve();
    });
    stream.write(Buffer.from('hello'));
  });
}
