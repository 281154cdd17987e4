import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { loadState } from '../../../controller/config.ts';
import { createServerPair } from '../../../controller/identity/authority.ts';
import type { Identity } from '../../../proto/enrol.ts';
import { freePort } from '../../fleet/free-port.ts';
import { ensureParts } from '../../fleet/install.ts';
import { program } from '../../fleet/packages.ts';
import { Child } from '../fleet/child.ts';
import { startServer, type Server } from '../prototype/start-server.ts';
import type { ResponderQuestions } from './responder.ts';

/** As a client of it is told. */
export interface NatsPeer {
  readonly servers: string;
  /** PEM. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly subject: string;
}

const subject = 'echo';

/** A nats-server that asks for certificates, with one in another process who answers requests, and one here who makes them. */
export class Broker implements AsyncDisposable {
  readonly #folder: string;
  #server: Server | undefined;
  #responder: Child<ResponderQuestions> | undefined;
  #requester: NatsConnection | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `state` is of a controller whose CA has signed `identity`. */
  static async start(state: string, identity: Identity): Promise<Broker> {
    await ensureParts([program('nats-server', 'nats-server')]);
    const broker = new Broker(await mkdtemp(join(tmpdir(), 'kompose-nats-')));
    try {
      await broker.#start(state, identity);
      return broker;
    } catch (error) {
      await broker[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(state: string, identity: Identity): Promise<void> {
    const address = `127.0.0.1:${await freePort()}`;
    const { authority } = await loadState(state);
    const pair = await createServerPair(authority, ['127.0.0.1', 'localhost'], Date.now());
    const path = (file: string): string => join(this.#folder, file);
    await writeFile(path('key'), pair.privateKey, { mode: 0o600 });
    await writeFile(path('certificate'), pair.certificate);
    await writeFile(path('ca'), authority.certificate);
    const files = `cert_file: "${path('certificate')}", key_file: "${path('key')}", ca_file: "${path('ca')}"`;
    await writeFile(path('conf'), `listen: "${address}"\ntls: { ${files}, verify: true }\n`);
    this.#server = await startServer(['nats-server', '-c', path('conf')], { first: 'Server is ready' });
    const tls = { ca: authority.certificate, cert: identity.certificate, key: identity.privateKey };
    const peer = { servers: `tls://${address}`, tls, subject };
    this.#responder = new Child<ResponderQuestions>('../nats/responder.ts');
    await this.#responder.ask('serve', peer);
    this.#requester = await connect(peer);
  }

  /** Resolves with the answer: the same. */
  async ask(data: Uint8Array): Promise<void> {
    await this.#requester?.request(subject, data, { timeout: 10_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#requester?.close();
    await this.#responder?.kill();
    await this.#server?.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
