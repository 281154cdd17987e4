import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { credentials, type ClientDuplexStream } from '@grpc/grpc-js';
import { saveContext } from '../../../cli/contexts.ts';
import { signRun } from '../../../cli/sign-run.ts';
import { createSigningKey, type SigningKey } from '../../../common/signing/signing-key.ts';
import { keyFingerprint } from '../../../common/audit/signed-head.ts';
import { createCertificateRequest } from '../../../proto/certificate-request.ts';
import { channelOptionsFor } from '../../../proto/channel-options.ts';
import { identityCredentials, type Identity } from '../../../proto/enrol.ts';
import { EnrolmentClient, type LoginResponse } from '../../../proto/gen/kompose/v1/enrolment.ts';
import type { RunEvent } from '../../../proto/gen/kompose/v1/event.ts';
import { eventsIn } from '../../../proto/event-codec.ts';
import { FleetClient, RunRequest, type StartRunInput } from '../../../proto/gen/kompose/v1/fleet.ts';
import { call } from '../../integration/controller/call.ts';
import { loginWords } from '../../integration/controller/test-controller.ts';
import { versionMetadata } from '../../integration/controller/version-metadata.ts';

type RunStream = ClientDuplexStream<StartRunInput, RunEvent>;

/** How a run went. */
export interface LightRun {
  readonly id: string;
  /** From the request to the run's last event. */
  readonly ms: number;
  readonly counts: Readonly<Record<string, number>>;
}

/** An admin's client that signs and reads what it is sent, as the command line does, and shows nothing. */
export class LightUser {
  /** The fingerprint that the roster begins with. */
  readonly root: string;
  readonly #address: string;
  readonly #identity: Identity;
  readonly #key: SigningKey;
  #client: FleetClient;

  private constructor(address: string, identity: Identity, key: SigningKey) {
    this.#address = address;
    this.#identity = identity;
    this.#key = key;
    this.root = keyFingerprint(key.publicKey);
    this.#client = this.#connect();
  }

  /** With the controller's first token. */
  static async login(address: string, token: string, caCertificate: string): Promise<LightUser> {
    const { privateKey, request } = await createCertificateRequest();
    const key = createSigningKey();
    const trusted = credentials.createSsl(Buffer.from(caCertificate));
    const client = new EnrolmentClient(address, trusted, channelOptionsFor(caCertificate));
    const words = { ...loginWords(token, key), certificateRequest: request };
    const { certificate } = await call<LoginResponse>((done) => client.login(words, done));
    client.close();
    return new LightUser(address, { privateKey, certificate, caCertificate }, key);
  }

  /** Logs the command line in as this admin, in its folder `user`. */
  async storeLogin(userFolder: string): Promise<void> {
    const told = { addresses: [this.#address], name: 'admin', role: 'admin', root: this.root };
    const context = { ...told, ...this.#identity, signingKey: this.#key };
    await mkdir(dirname(userFolder), { recursive: true });
    await saveContext(userFolder, 'default', context, undefined);
  }

  #connect(): FleetClient {
    const options = channelOptionsFor(this.#identity.caCertificate);
    return new FleetClient(this.#address, identityCredentials(this.#identity), options);
  }

  /** After the controller was away. */
  reconnect(): void {
    this.#client.close();
    this.#client = this.#connect();
  }

  close(): void {
    this.#client.close();
  }

  /** Runs a command on all stacks, or those of a pattern, to its end. */
  run(command: string, pattern = '*'): Promise<LightRun> {
    const startMs = performance.now();
    return end(this.#ask(command, pattern), startMs);
  }

  /** Starts a run; gives its id once all its tasks have begun their step. */
  begin(command: string): Promise<string> {
    const stream = this.#ask(command);
    return new Promise((resolve, reject) => {
      let id = '';
      let events = 0;
      let targets = Number.POSITIVE_INFINITY;
      stream.on('error', reject);
      onEvent(stream, ({ kind }) => {
        if (kind?.$case === 'started') {
          id = kind.value.runId;
          targets = kind.value.targets.length;
        } else if (kind?.$case === 'taskEvent' && ++events === targets * eventsUntilStep) resolve(id);
      });
    });
  }

  /** Watches a run to its end. */
  watch(runId: string): Promise<LightRun> {
    const startMs = performance.now();
    return end(this.#client.watchRun({ runId, afterSeq: 0 }, versionMetadata()), startMs);
  }

  #ask(command: string, pattern = '*'): RunStream {
    const request = { ...RunRequest.decode(Buffer.alloc(0)), pattern, command };
    const stream = this.#client.startRun(versionMetadata());
    stream.on('data', ({ kind }: RunEvent) => {
      if (kind?.$case !== 'proposal') return;
      const value = signRun({ request }, kind.value, this.#key, Date.now());
      stream.write({ kind: { $case: 'signed', value } });
    });
    stream.write({ kind: { $case: 'request', value: request } });
    return stream;
  }
}

/** `task.started` and `step.started`. */
const eventsUntilStep = 2;

function onEvent(stream: Pick<Readable, 'on'>, heard: (event: RunEvent) => void): void {
  stream.on('data', (message: RunEvent) => {
    for (const event of eventsIn(message)) heard(event);
  });
}

function end(stream: Pick<Readable, 'on'>, startMs: number): Promise<LightRun> {
  return new Promise((resolve, reject) => {
    let id = '';
    stream.on('error', reject);
    onEvent(stream, ({ kind }) => {
      if (kind?.$case === 'started') id = kind.value.runId;
      if (kind?.$case !== 'finished') return;
      resolve({ id, ms: performance.now() - startMs, counts: kind.value.counts });
    });
  });
}
