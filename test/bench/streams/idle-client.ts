import { readFileSync } from 'node:fs';
import { Client, credentials } from '@grpc/grpc-js';

/* The least that an agent can be: a Node that holds one connection of grpc-js. Bundled as the agent is. */

const [address = '', ca = '', key = '', certificate = '', tlsName = ''] = process.argv.slice(2);
const identity = credentials.createSsl(readFileSync(ca), readFileSync(key), readFileSync(certificate));
const client = new Client(address, identity, { 'grpc.ssl_target_name_override': tlsName });
client.waitForReady(Date.now() + 10_000, (error) => {
  if (error !== undefined) throw error;
  process.stdout.write('connected to it\n');
});
setInterval(() => undefined, 5_000);
