import { randomInt, randomUUID } from 'node:crypto';
import { cpSync, renameSync, rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { type Client, credentials } from '@grpc/grpc-js';
import { pino, type Logger } from 'pino';
import type { ControllerSettings } from '../../../controller/config.ts';
import { databasePath, initController } from '../../../controller/init.ts';
import { serveController, type RunningController } from '../../../controller/serve.ts';
import { joinEntry, rootEntry } from '../../../common/roster/entry.ts';
import { createSigningKey, type SigningKey } from '../../../common/signing/signing-key.ts';
import { createTokenSeed, hashSecret, tokenSecrets } from '../../../common/signing/token-secrets.ts';
import { createCertificateRequest } from '../../../proto/certificate-request.ts';
import { clientChannelOptions } from '../../../proto/channel-options.ts';
import { formatToken, parseToken } from '../../../proto/enrolment-token.ts';
import { trustOf } from '../../../proto/trust.ts';
import { identityCredentials, type Identity } from '../../../proto/enrol.ts';
import { AgentLinkClient } from '../../../proto/gen/kompose/v1/agent_link.ts';
import {
  EnrolmentClient,
  type JoinResponse,
  type LoginRequest,
  type LoginResponse,
} from '../../../proto/gen/kompose/v1/enrolment.ts';
import { type CreateTokenResponse, FleetClient } from '../../../proto/gen/kompose/v1/fleet.ts';
import { call } from './call.ts';
import { type StreamEnd, streamEnd } from './inbox.ts';
import { TestAgent, type HelloChange } from './test-agent.ts';
import { TestUser } from './test-user.ts';

export { call } from './call.ts';

/** An audit record, as far as tests look at it. */
export interface AuditRecord {
  readonly type: string;
  readonly actor: { readonly name: string; readonly role: string; readonly certificate: string };
  readonly clientAddress?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly host?: string;
  readonly outcome?: string;
  readonly reason?: string;
  readonly run?: string;
  readonly key?: string;
  readonly targets?: readonly string[];
}

/** The real controller on a port of its own, with a temporary folder, and its real clients. All go with the test. */
export class TestController {
  readonly folder: string;
  readonly caCertificate: string;
  /** Of the first admin. */
  readonly firstToken: string;
  #settings: ControllerSettings;
  readonly #log: Logger;
  readonly #clients: Client[] = [];
  #running: RunningController;
  #stopped: Promise<void> | undefined;
  #admin: Promise<TestUser> | undefined;

  private constructor(
    settings: ControllerSettings,
    running: RunningController,
    { caCertificate, firstToken, log }: { caCertificate: string; firstToken: string; log: Logger },
  ) {
    this.folder = settings.folder;
    this.caCertificate = caCertificate;
    this.firstToken = firstToken;
    this.#log = log;
    this.#settings = settings;
    this.#running = running;
  }

  static async start(
    t: TestContext,
    changes: Partial<ControllerSettings> = {},
    log: Logger = pino({ level: 'silent' }),
  ): Promise<TestController> {
    const folder = join(await mkdtemp(join(tmpdir(), 'kompose-controller-')), 'controller');
    const dayMs = 86_400_000;
    const kept = { keptOutputBytes: 64 * 1024 * 1024, keptRuns: { ageMs: 90 * dayMs, bytes: 1024 ** 3 } };
    const periods = { heartbeatPeriodMs: 5_000, lostAfterMs: 60_000, ...kept };
    const lives = { hostCertificateMs: 90 * dayMs, userCertificateMs: 365 * dayMs };
    const settings = { folder, ...periods, ...lives, ...changes };
    // What tokens carry; the port that it listens on is known only later.
    const firstToken = await initController(folder, ['127.0.0.1:7600']);
    const caCertificate = await readFile(join(folder, 'ca.crt'), 'utf8');
    const running = await serve(settings, log);
    const controller = new TestController(settings, running, { caCertificate, firstToken, log });
    t.after(async () => {
      await controller.#close();
      await rm(join(folder, '..'), { recursive: true });
    });
    return controller;
  }

  get address(): string {
    return this.#running.address;
  }

  get port(): number {
    return Number(this.address.split(':').at(-1));
  }

  /** Ends this process's controller as a stop does, and serves the same folder anew, on another port. */
  async restart(changes: Partial<ControllerSettings> = {}): Promise<void> {
    await this.#close();
    this.#settings = { ...this.#settings, ...changes };
    this.#running = await serve(this.#settings, this.#log);
    this.#stopped = undefined;
    this.#admin = undefined;
  }

  /** Ends this process's controller as a stop does; resolves when it has ended. */
  stop(): Promise<void> {
    this.#stopped ??= this.#running.close();
    return this.#stopped;
  }

  /**
   * Serves anew what a SIGKILL at this moment would have left: the folder is copied while the controller, which lives in
   * this process, stands still. `lose` takes away what it had not got to yet.
   */
  async kill(lose: (folder: string) => void = () => undefined): Promise<void> {
    const left = `${this.folder}.left`;
    cpSync(this.folder, left, { recursive: true });
    await this.#close();
    rmSync(this.folder, { recursive: true });
    renameSync(left, this.folder);
    lose(this.folder);
    this.#running = await serve(this.#settings, this.#log);
    this.#stopped = undefined;
    this.#admin = undefined;
  }

  async #close(): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    await this.stop();
  }

  /** A client without a certificate. */
  enrolment(): EnrolmentClient {
    const trusted = credentials.createSsl(Buffer.from(this.caCertificate));
    return this.keep(new EnrolmentClient(this.address, trusted, clientChannelOptions));
  }

  async join(
    token: string,
    name: string,
    labels: Record<string, string> = {},
  ): Promise<Identity & JoinResponse> {
    const { privateKey, request } = await createCertificateRequest();
    const message = { tokenSecret: secretOf(token), name, labels, certificateRequest: request };
    const answer = await call<JoinResponse>((done) => this.enrolment().join(message, done));
    return { ...answer, privateKey, caCertificate: this.caCertificate };
  }

  async login(token: string): Promise<Identity & LoginResponse & { signingKey: SigningKey }> {
    const { privateKey, request } = await createCertificateRequest();
    const signingKey = createSigningKey();
    const message = { ...loginWords(token, signingKey), certificateRequest: request };
    const answer = await call<LoginResponse>((done) => this.enrolment().login(message, done));
    return { ...answer, privateKey, caCertificate: this.caCertificate, signingKey };
  }

  /** The first admin; logs in once. */
  admin(): Promise<TestUser> {
    this.#admin ??= this.login(this.firstToken).then((identity) => this.userWith(identity));
    return this.#admin;
  }

  userWith(identity: Identity & { readonly signingKey?: SigningKey }): TestUser {
    const client = this.keep(
      new FleetClient(this.address, identityCredentials(identity), clientChannelOptions),
    );
    return new TestUser(client, identity, identity.signingKey);
  }

  /** After a restart, the first admin on. */
  readmit({ identity, key }: TestUser): TestUser {
    const user = this.userWith({ ...identity, signingKey: key });
    this.#admin = Promise.resolve(user);
    return user;
  }

  async user(role: string): Promise<TestUser> {
    return this.userWith(await this.login(await this.token(role)));
  }

  async token(
    role: string,
    change: {
      labels?: Record<string, string>;
      ttlMs?: number;
      uses?: number;
      name?: string;
      replaces?: string;
    } = {},
  ): Promise<string> {
    return (await this.newToken(role, change)).token;
  }

  /** The token with its id. */
  async newToken(
    role: string,
    change: {
      labels?: Record<string, string>;
      ttlMs?: number;
      uses?: number;
      name?: string;
      replaces?: string;
    } = {},
  ): Promise<{ id: string; token: string }> {
    const admin = await this.admin();
    const seed = createTokenSeed();
    const { secret, key } = tokenSecrets(seed);
    const request = { role, labels: {}, ttlMs: 0, uses: 0, name: '', replaces: '', ...change };
    const isUsers = role !== 'agent';
    const until = Date.now() + 1_000_000;
    const { name: user, uses } = request;
    const whom = { key: key.publicKey, user, role, uses: uses || 1, until };
    const rosterEntries = isUsers ? await admin.entries({ type: 'invite', ...whom }) : [];
    const made = {
      ...request,
      secretHash: hashSecret(secret),
      key: isUsers ? key.publicKey : '',
      rosterEntries,
    };
    const { id, ...where } = await call<CreateTokenResponse>((done) =>
      admin.client.createToken(made, admin.metadata, done),
    );
    const root = (await admin.roster()).root ?? '';
    return { id, token: formatToken({ ...where, seed, root, user: isUsers ? user || `${role}-*` : '' }) };
  }

  async host(name: string): Promise<Identity> {
    return this.join(await this.token('agent'), name);
  }

  agentLink(identity: Identity): AgentLinkClient {
    return this.keep(new AgentLinkClient(this.address, identityCredentials(identity), clientChannelOptions));
  }

  /** An agent that has said hello; its welcome may still be to come. */
  attach(identity: Identity, hello: HelloChange = {}): TestAgent {
    return new TestAgent(this.agentLink(identity), {
      instanceId: randomUUID(),
      trusts: trustOf(identity.caCertificate),
      ...hello,
    });
  }

  /** A host that has joined and is online with these stacks. */
  async online(
    name: string,
    stacks: readonly string[],
    hello: HelloChange = {},
  ): Promise<{ agent: TestAgent; identity: Identity }> {
    const identity = await this.host(name);
    const agent = this.attach(identity, hello);
    await agent.welcomed();
    await agent.tellStacks(stacks);
    return { agent, identity };
  }

  keep<Kept extends Client>(client: Kept): Kept {
    this.#clients.push(client);
    return client;
  }

  /** What the database says at this moment, by a connection of its own. */
  rows(sql: string, ...values: string[]): Record<string, unknown>[] {
    return this.#database((database) => database.prepare(sql).all(...values));
  }

  /** Changes the database behind the controller's back. */
  execute(sql: string): void {
    this.#database((database) => database.exec(sql));
  }

  audit(type?: string): AuditRecord[] {
    const all = this.rows('select record from audit order by seq').map(
      ({ record }) => JSON.parse(String(record)) as AuditRecord,
    );
    return type === undefined ? all : all.filter((record) => record.type === type);
  }

  #database<Result>(use: (database: DatabaseSync) => Result): Result {
    const database = new DatabaseSync(databasePath(this.folder));
    try {
      return use(database);
    } finally {
      database.close();
    }
  }
}

function serve(settings: ControllerSettings, log: Logger): Promise<RunningController> {
  return serveController(settings, '127.0.0.1:0', log);
}

/** A token's secret; any other text stands for itself. */
export function secretOf(token: string): string {
  return token.startsWith('kmp1.') ? tokenSecrets(parseToken(token).seed).secret : token;
}

/** What a login with this token says beside its certificate. */
export function loginWords(
  token: string,
  signingKey: SigningKey = createSigningKey(),
): Omit<LoginRequest, 'certificateRequest'> {
  const tokenSecret = secretOf(token);
  if (!token.startsWith('kmp1.')) return { tokenSecret, name: '', rosterEntry: undefined };
  const { seed, root, user } = parseToken(token);
  const name = user.replace('*', letters());
  const { key } = tokenSecrets(seed);
  const rosterEntry = root === '' ? rootEntry(name, signingKey) : joinEntry(name, signingKey.publicKey, key);
  return { tokenSecret, name, rosterEntry };
}

function letters(): string {
  return Array.from({ length: 6 }, () => String.fromCharCode(97 + randomInt(26))).join('');
}

/** How a call was refused; fails if it was not. */
export async function refusal(answer: Promise<unknown>): Promise<StreamEnd> {
  const end = await answer.then(
    () => undefined,
    (error: unknown) => streamEnd(error),
  );
  if (end === undefined) throw new Error('the call was answered');
  return end;
}
