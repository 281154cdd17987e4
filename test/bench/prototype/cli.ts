import { Client } from '@grpc/grpc-js';
import { channelOptionsFor } from '../../../proto/channel-options.ts';
import { identityCredentials } from '../../../proto/enrol.ts';
import { readSettings } from './settings.ts';
import { run, type Said } from './wire.ts';

/** `cli SETTINGS HOSTS COMMAND`: runs a bash command on so many hosts, prints what they say. */
const [, , , hosts, command = ''] = process.argv;
const { address, identities } = readSettings();
const [own] = identities;
if (own === undefined) throw new Error('it has no certificate');
const { identity } = own;
const client = new Client(address, identityCredentials(identity), channelOptionsFor(identity.caCertificate));
const { path, requestSerialize, responseDeserialize } = run;
const asked = { hosts: Number(hosts), command };
const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, asked);
let ended = 0;
for await (const said of stream as AsyncIterable<Said>) {
  if ('text' in said) process.stdout.write(said.text);
  else if (said.exitCode === 0) ended++;
}
process.exit(ended === asked.hosts ? 0 : 1);
