import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { credentials, type ClientDuplexStream } from '@grpc/grpc-js';
import { saveContext } from '../../../cli/contexts.ts';
import { signRun } from '../../../cli/sign-run.ts';
import { createSigningKey, type SigningKey } from '../../../common/signing/signing-key.ts';
import {
  createStdinKey,
  stdinMarker,
  type MarkStdin,
  type StdinKey,
} from '../../../common/signing/stdin-marks.ts';
import { keyFingerprint } from '../../../common/audit/signed-head.ts';
import { createCertificateRequest } from '../../../proto/certificate-request.ts';
import { channelOptionsFor } from '../../../proto/channel-options.ts';
import { identityCredentials, type Identity } from '../../../proto/enrol.ts';
import { EnrolmentClient, type LoginResponse } from '../../../proto/gen/kompose/v1/enrolment.ts';
import { decodeTaskEvent } from '../../../proto/event-codec.ts';
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

  /** Begins `exec` of something that gives back what it reads; resolves once it can be asked. */
  async talk(pattern: string): Promise<Talk> {
    const stdinKey = createStdinKey();
    const stream = this.#ask('exec', pattern, { args: ['-T', 'web', 'cat'], hasStdin: true }, stdinKey);
    const wanted = Promise.withResolvers<Uint8Array>();
    let task = '';
    stream.on('error', wanted.reject);
    stream.on('data', ({ kind }: RunEvent) => {
      if (kind?.$case === 'proposal') task = kind.value.targets[0]?.taskId ?? '';
      else if (kind?.$case === 'stdinProgress') wanted.resolve(kind.value.key);
    });
    return new Talk(stream, stdinMarker(stdinKey, await wanted.promise, task));
  }

  #ask(command: string, pattern = '*', more: Partial<RunRequest> = {}, stdinKey?: StdinKey): RunStream {
    const request = { ...RunRequest.decode(Buffer.alloc(0)), pattern, command, ...more };
    const stream = this.#client.startRun(versionMetadata());
    stream.on('data', ({ kind }: RunEvent) => {
      if (kind?.$case !== 'proposal') return;
      const value = signRun({ request, stdinKey }, kind.value, this.#key, Date.now());
      stream.write({ kind: { $case: 'signed', value } });
    });
    stream.write({ kind: { $case: 'request', value: request } });
    return stream;
  }
}

/** An `exec` that says what it reads, held open: what is asked goes as its stdin, and comes back as its output. */
export class Talk {
  readonly #stream: RunStream;
  readonly #mark: MarkStdin;
  #offset = 0;
  #missing = 0;
  #answered = Promise.withResolvers<void>();

  constructor(stream: RunStream, mark: MarkStdin) {
    this.#stream = stream;
    this.#mark = mark;
    stream.on('error', (error) => this.#answered.reject(error));
    stream.on('data', (event: RunEvent) => this.#take(event));
  }

  /** Resolves once all of it has come back. */
  async ask(data: Uint8Array): Promise<void> {
    this.#answered = Promise.withResolvers();
    this.#missing = data.length;
    this.#send(data, false);
    await this.#answered.promise;
  }

  /** Resolves when the run has ended. */
  async end(): Promise<void> {
    this.#answered = Promise.withResolvers();
    this.#send(new Uint8Array(), true);
    await this.#answered.promise;
  }

  #send(data: Uint8Array, isEnd: boolean): void {
    const mark = this.#mark({ offset: this.#offset, data, isEnd });
    this.#offset += data.length;
    this.#stream.write({ kind: { $case: 'stdin', value: { data, isEnd, mark } } });
  }

  #take({ kind }: RunEvent): void {
    if (kind?.$case === 'finished') this.#answered.resolve();
    if (kind?.$case !== 'taskEvent') return;
    const { event } = decodeTaskEvent(kind.value);
    if (event.type === 'output') this.#missing -= event.data.length;
    if (this.#missing === 0) this.#answered.resolve();
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
