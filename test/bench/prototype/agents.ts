import { spawn } from 'node:child_process';
import { Client, type ClientDuplexStream } from '@grpc/grpc-js';
import { channelOptionsFor } from '../../../proto/channel-options.ts';
import { identityCredentials, type Identity } from '../../../proto/enrol.ts';
import { readSettings } from './settings.ts';
import { attach, type Order, type Report } from './wire.ts';

type Link = ClientDuplexStream<Report, Order>;

const { address, identities } = readSettings();
for (const { name, identity } of identities) await serve(name, identity);
process.stdout.write('connected\n');

/** Resolves once it is linked: the controller's first message is its welcome. */
function serve(name: string, identity: Identity): Promise<void> {
  const options = channelOptionsFor(identity.caCertificate);
  const client = new Client(address, identityCredentials(identity), options);
  const { path, requestSerialize, responseDeserialize } = attach;
  const link: Link = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  return new Promise((resolve, reject) => {
    link.on('error', reject);
    link.once('data', () => {
      link.on('data', (order: Order) => execute(order, link));
      resolve();
    });
    link.write({ name });
  });
}

/** Of an empty command it says at once that it has ended: what the exchange alone takes. */
function execute({ id, command }: Order, link: Link): void {
  if (command === '') return void link.write({ id, exitCode: 0 });
  const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
  const tell = (bytes: Buffer): void => void link.write({ id, text: bytes.toString() });
  child.stdout.on('data', tell);
  child.stderr.on('data', tell);
  child.on('close', (code) => void link.write({ id, exitCode: code ?? 128 }));
}
