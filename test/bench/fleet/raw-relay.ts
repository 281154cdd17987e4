import { loadState } from '../../../controller/config.ts';
import { createServerPair } from '../../../controller/identity/authority.ts';
import { controllerTlsName } from '../../../proto/channel-options.ts';
import type { Identity } from '../../../proto/enrol.ts';
import { tlsNamePattern } from '../../../proto/trust.ts';
import { Child } from './child.ts';
import type { RelayClientQuestions } from './raw-relay-client.ts';
import type { RelayServerQuestions } from './raw-relay-server.ts';
import type { Windows } from './raw-relay-wire.ts';

/** A relay of grpc-js alone: an agent, a server and a client, each a process. */
export class RawRelay implements AsyncDisposable {
  readonly #server = new Child<RelayServerQuestions>('raw-relay-server.ts');
  readonly #agent = new Child<RelayClientQuestions>('raw-relay-client.ts');
  readonly #client = new Child<RelayClientQuestions>('raw-relay-client.ts');

  /**
   * `state` is the folder of a controller whose CA signs; `identity` is of somebody that it knows; `through` gives what
   * both dial instead of the server's address.
   */
  static async start(
    state: string,
    identity: Identity,
    windows: Windows,
    through: (listening: string) => Promise<string> = (listening) => Promise.resolve(listening),
  ): Promise<RawRelay> {
    const relay = new RawRelay();
    const { authority } = await loadState(state);
    const pair = await createServerPair(authority, [controllerTlsName, tlsNamePattern], Date.now());
    const { privateKey: key, certificate } = pair;
    const ca = authority.certificate;
    const port = await relay.#server.ask('listen', { ca, key, certificate, windows });
    const address = await through(`127.0.0.1:${port}`);
    for (const each of [relay.#agent, relay.#client])
      await each.ask('connect', { address, identity, windows });
    return relay;
  }

  /** Passes so many bytes on over so many streams, all together; gives milliseconds. */
  async pass(bytes: number, streams = 1): Promise<number> {
    const names = Array.from({ length: streams }, (_, at) => String(at));
    await this.#client.ask('read', { names });
    const startMs = performance.now();
    const read = this.#client.ask('allRead', undefined);
    await this.#agent.ask('send', { names, bytes: bytes / streams });
    const got = await read;
    if (got < bytes) throw new Error(`${got} bytes of ${bytes} came through`);
    return performance.now() - startMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#server, this.#agent, this.#client].map((child) => child.kill()));
  }
}
