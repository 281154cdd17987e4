import { Server, type ServerDuplexStream } from '@grpc/grpc-js';
import { answerParent } from './answering.ts';
import { down, serverCredentials, up, type RelayPair, type Windows } from './raw-relay-wire.ts';

/** What may be asked of it. */
export interface RelayServerQuestions {
  /** Gives the port. */
  listen: { ask: RelayPair & { readonly windows: Windows }; answer: number };
}

type Call = ServerDuplexStream<Buffer, Buffer>;

const readers = new Map<string, Call>();

/** Passes on what comes, at the pace of its reader, who must be there first. */
function pass(from: Call, to: Call): void {
  from.on('data', (bytes: Buffer) => {
    if (to.write(bytes)) return;
    from.pause();
    to.once('drain', () => from.resume());
  });
  from.on('end', () => {
    to.end();
    from.end();
  });
}

function named(call: Call, act: (name: string) => void): void {
  call.once('data', (bytes: Buffer) => act(bytes.toString()));
}

answerParent<RelayServerQuestions>({
  listen: ({ windows, ...pair }) => {
    const server = new Server({ 'grpc.enable_channelz': 0 });
    server.addService(
      { up, down },
      {
        up: (call: Call) =>
          named(call, (name) => {
            const reader = readers.get(name);
            if (reader !== undefined) pass(call, reader);
          }),
        down: (call: Call) =>
          named(call, (name) => {
            readers.set(name, call);
            // Says that it is known here.
            call.write(Buffer.alloc(0));
          }),
      },
    );
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', serverCredentials(pair, windows), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  },
});
