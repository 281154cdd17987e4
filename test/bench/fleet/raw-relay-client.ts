import { once } from 'node:events';
import { Client, type ClientDuplexStream } from '@grpc/grpc-js';
import { channelOptionsFor } from '../../../proto/channel-options.ts';
import { identityCredentials, type Identity } from '../../../proto/enrol.ts';
import { answerParent } from './answering.ts';
import { down, messageBytes, up, windowOptions, type Windows } from './raw-relay-wire.ts';

/** Of an agent's process that sends, or a client's that reads. */
export interface RelayClientQuestions {
  connect: {
    ask: { readonly address: string; readonly identity: Identity; readonly windows: Windows };
    answer: undefined;
  };
  /** Answers when the readers of these streams are known to the server. */
  read: { ask: { readonly names: readonly string[] }; answer: undefined };
  /** Answers, with the bytes, when all of them have ended. */
  allRead: { ask: undefined; answer: number };
  /** Sends so many bytes to each of these streams. */
  send: { ask: { readonly names: readonly string[]; readonly bytes: number }; answer: undefined };
}

const text = Buffer.alloc(16 * 1024 * 1024, 'kompose relays what a task prints, as it comes\n');
let client: Client | undefined;
let reading: Promise<number[]> = Promise.resolve([]);

function open({ path }: { readonly path: string }): ClientDuplexStream<Buffer, Buffer> {
  if (client === undefined) throw new Error('connect comes first');
  return client.makeBidiStreamRequest(path, up.requestSerialize, up.responseDeserialize);
}

async function readAll(stream: ClientDuplexStream<Buffer, Buffer>): Promise<number> {
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => void (bytes += chunk.length));
  await once(stream, 'end');
  return bytes;
}

async function sendAll(name: string, bytes: number): Promise<void> {
  const stream = open(up);
  stream.write(Buffer.from(name));
  for (let sent = 0; sent < bytes; sent += messageBytes) {
    const at = sent % text.length;
    if (!stream.write(text.subarray(at, at + messageBytes))) await once(stream, 'drain');
  }
  stream.end();
  stream.resume();
  await once(stream, 'end');
}

answerParent<RelayClientQuestions>({
  connect: async ({ address, identity, windows }) => {
    const { 'grpc-node.flow_control_window': _, ...options } = channelOptionsFor(identity.caCertificate);
    client = new Client(address, identityCredentials(identity), { ...options, ...windowOptions(windows) });
    return undefined;
  },
  read: async ({ names }) => {
    const streams = names.map(() => open(down));
    await Promise.all(
      streams.map(async (stream, at) => {
        stream.write(Buffer.from(names[at] ?? ''));
        await once(stream, 'data');
      }),
    );
    reading = Promise.all(streams.map(readAll));
    return undefined;
  },
  allRead: async () => (await reading).reduce((sum, bytes) => sum + bytes, 0),
  send: async ({ names, bytes }) => {
    await Promise.all(names.map((name) => sendAll(name, bytes)));
    return undefined;
  },
});
