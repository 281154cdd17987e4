import { Client } from '@grpc/grpc-js';
import { channelOptionsFor } from '../../../proto/channel-options.ts';
import { identityCredentials, type Identity } from '../../../proto/enrol.ts';
import { converse } from './wire.ts';

/** A stream to the first host of a prototype at `address`, held open. */
export class PrototypeTalk implements Disposable {
  readonly #client: Client;
  readonly #stream: ReturnType<typeof open>;
  #answered = Promise.withResolvers<void>();

  constructor(address: string, identity: Identity) {
    const options = channelOptionsFor(identity.caCertificate);
    this.#client = new Client(address, identityCredentials(identity), options);
    this.#stream = open(this.#client);
    this.#stream.on('error', (error) => this.#answered.reject(error));
    this.#stream.on('data', () => this.#answered.resolve());
  }

  /** Resolves with the host's answer. */
  ask(): Promise<void> {
    this.#answered = Promise.withResolvers();
    this.#stream.write({ hosts: 1, command: '' });
    return this.#answered.promise;
  }

  [Symbol.dispose](): void {
    this.#answered.promise.catch(() => undefined);
    this.#stream.cancel();
    this.#client.close();
  }
}

function open(client: Client) {
  const { path, requestSerialize, responseDeserialize } = converse;
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
}
