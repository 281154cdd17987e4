import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { answerParent } from './answering.ts';
import { attach, orderBytes, reports } from './raw-wire.ts';

/** What may be asked of it. */
export interface RawServerQuestions {
  /** PEM; gives the port. */
  listen: {
    ask: { readonly ca: string; readonly key: string; readonly certificate: string };
    answer: number;
  };
  /** Sends each agent a message and waits for what comes back; gives milliseconds. */
  fanOut: { ask: undefined; answer: number };
}

const streams = new Set<ServerDuplexStream<Buffer, Buffer>>();
const order = Buffer.alloc(orderBytes, 'o');
let missing = 0;
let all = Promise.withResolvers<void>();

function serve(stream: ServerDuplexStream<Buffer, Buffer>): void {
  stream.on('data', (bytes: Buffer) => {
    if (!streams.has(stream)) {
      streams.add(stream);
      stream.write(bytes);
    } else if (--missing === 0) all.resolve();
  });
  stream.on('error', () => streams.delete(stream));
  stream.on('cancelled', () => streams.delete(stream));
}

answerParent<RawServerQuestions>({
  listen: ({ ca, key, certificate }) => {
    const server = new Server({ 'grpc.keepalive_time_ms': 30_000, 'grpc.enable_channelz': 0 });
    server.addService({ attach }, { attach: serve });
    const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
    const credentials = ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  },
  fanOut: async () => {
    all = Promise.withResolvers();
    missing = streams.size * reports;
    const startMs = performance.now();
    for (const stream of streams) stream.write(order);
    await all.promise;
    return performance.now() - startMs;
  },
});
