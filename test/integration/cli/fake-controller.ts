import { connect } from 'node:net';
import {
  Metadata,
  Server,
  status,
  type ServerDuplexStream,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { RosterEntry } from '../../../common/roster/entry.ts';
import { Roster } from '../../../common/roster/roster.ts';
import type { RunEvent } from '../../../common/task-event.ts';
import { KomposeError } from '../../../common/errors.ts';
import {
  authorityFingerprint,
  createAuthority,
  createServerPair,
  issueClientCertificate,
} from '../../../controller/identity/authority.ts';
import { ControllerCredentials } from '../../../controller/services/server-credentials.ts';
import { tokenSecrets } from '../../../common/signing/token-secrets.ts';
import { controllerTlsName } from '../../../proto/channel-options.ts';
import { tlsNamePattern, trustOf } from '../../../proto/trust.ts';
import { formatToken } from '../../../proto/enrolment-token.ts';
import { encodeRunEvent, encodeTaskEvent, wrapTaskEvent } from '../../../proto/event-codec.ts';
import { EnrolmentService, type EnrolmentServer } from '../../../proto/gen/kompose/v1/enrolment.ts';
import { RunEvent as WireRunEvent } from '../../../proto/gen/kompose/v1/event.ts';
import {
  FleetService,
  type FleetServer,
  type RunRequest,
  type StartRunInput,
} from '../../../proto/gen/kompose/v1/fleet.ts';
import { protocolMetadataKey } from '../../../proto/protocol-version.ts';
import { toStatus } from '../../../proto/status.ts';

/** What StartRun does; `events` sends some of the run. */
export interface StartedRun {
  readonly request: RunRequest;
  /** Resolves when the client has signed this run of `prod-1:sexy`. */
  propose(runId: string): Promise<void>;
  send(events: readonly RunEvent[]): void;
  end(): void;
  fail(error: unknown): void;
  /** Resolves when the client asks to cancel. */
  readonly cancelled: Promise<void>;
  /** Resolves when the client is gone. */
  readonly left: Promise<void>;
}

export interface Script {
  readonly startRun?: (run: StartedRun) => void | Promise<void>;
  readonly watchRun?: (
    runId: string,
    afterSeq: number,
    watch: Pick<StartedRun, 'send' | 'end' | 'fail'>,
  ) => void;
  readonly fleet?: Partial<FleetServer>;
}

/** A controller that says what a test wants, over real gRPC and TLS. The client is the real one. */
export class FakeController {
  readonly port: number;
  readonly token: string;
  readonly cancelCalls: string[];
  readonly protocolsSeen: Set<string>;
  readonly #server: Server;
  #killed: Promise<void> | undefined;

  private constructor(
    server: Server,
    port: number,
    token: string,
    seen: { cancels: string[]; protocols: Set<string> },
  ) {
    this.#server = server;
    this.port = port;
    this.token = token;
    this.cancelCalls = seen.cancels;
    this.protocolsSeen = seen.protocols;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  static async start(script: Script, keys: FleetKeys, port = 0): Promise<FakeController> {
    const server = new Server();
    const seen = { cancels: [], protocols: new Set<string>() };
    const roster: RosterEntry[] = [];
    server.addService(FleetService, fleetHandlers(script, seen, roster) as UntypedServiceImplementation);
    server.addService(EnrolmentService, enrolmentHandlers(keys, roster) as UntypedServiceImplementation);
    const bound = await bind(server, port, keys);
    const addresses = [`127.0.0.1:${bound}`];
    const token = formatToken({
      addresses,
      caFingerprint: authorityFingerprint(keys.ca.certificate),
      seed: 'good',
      root: '',
      user: 'ada',
    });
    return new FakeController(server, bound, token, seen);
  }

  /** As a crash does: connections are cut. */
  kill(): Promise<void> {
    this.#killed ??= this.#kill();
    return this.#killed;
  }

  async #kill(): Promise<void> {
    this.#server.forceShutdown();
    await refusesConnections(this.port);
  }
}

export interface FleetKeys {
  readonly ca: { privateKey: string; certificate: string };
  readonly server: { privateKey: string; certificate: string };
  /** How long the certificates of users are good. */
  readonly userDays: number;
}

export async function createKeys(userDays = 1): Promise<FleetKeys> {
  const ca = await createAuthority(Date.now());
  return {
    ca,
    server: await createServerPair(ca, [controllerTlsName, tlsNamePattern], Date.now()),
    userDays,
  };
}

function bind(server: Server, port: number, { ca, server: own }: FleetKeys): Promise<number> {
  const certificateChain = `${own.certificate}\n${ca.certificate}`;
  const [authority = ''] = trustOf(ca.certificate);
  const identity = { ...own, authority, certificateChain, caCertificates: ca.certificate };
  const credentials = new ControllerCredentials([identity]);
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

function refusesConnections(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve());
    socket.once('connect', () => {
      socket.destroy();
      resolve(refusesConnections(port));
    });
  });
}

function fleetHandlers(
  script: Script,
  seen: { cancels: string[]; protocols: Set<string> },
  roster: readonly RosterEntry[],
): Partial<FleetServer> {
  return {
    syncRoster: (call, callback) => {
      const { count: after } = call.request;
      const { head } = Roster.empty.extend(roster);
      callback(null, { count: roster.length, head, part: { after, entries: roster.slice(after) } });
    },
    startRun: (call) => startRun(script, call, seen.protocols),
    watchRun: (call) => {
      const { runId, afterSeq } = call.request;
      script.watchRun?.(runId, afterSeq, eventStream(call));
    },
    cancelRun: (call, callback) => {
      seen.cancels.push(call.request.runId);
      callback(null, { cancelled: true });
    },
    ...script.fleet,
  };
}

function startRun(
  script: Script,
  call: ServerDuplexStream<StartRunInput, WireRunEvent>,
  protocols: Set<string>,
): void {
  protocols.add(String(call.metadata.get(protocolMetadataKey)[0]));
  const cancelled = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const signed = Promise.withResolvers<void>();
  const propose = (runId: string): Promise<void> => {
    const targets = [{ taskId: `${runId.slice(0, -1)}B`, host: 'prod-1', stack: 'sexy' }];
    const kind = { $case: 'proposal', value: { runId, targets } } as const;
    call.write({ ...WireRunEvent.decode(new Uint8Array()), kind });
    return signed.promise;
  };
  call.on('cancelled', () => left.resolve());
  call.on('error', () => left.resolve());
  call.on('data', ({ kind }: StartRunInput) => {
    if (kind?.$case === 'cancel') cancelled.resolve();
    if (kind?.$case === 'signed') signed.resolve();
    if (kind?.$case !== 'request') return;
    const ends = { cancelled: cancelled.promise, left: left.promise };
    void script.startRun?.({ request: kind.value, propose, ...eventStream(call), ...ends });
  });
}

function eventStream(
  call: ServerDuplexStream<StartRunInput, WireRunEvent> | ServerWritableStream<unknown, WireRunEvent>,
): Pick<StartedRun, 'send' | 'end' | 'fail'> {
  return {
    send: (events) => {
      for (const event of events) call.write(WireRunEvent.decode(encoded(event)));
    },
    end: () => call.end(),
    fail: (error) => call.emit('error', toStatus(error)),
  };
}

function encoded(event: RunEvent): Uint8Array {
  if (!('taskSeq' in event)) return encodeRunEvent(event.seq, event.timeMs, event.event);
  const { seq, task, taskSeq, timeMs } = event;
  return wrapTaskEvent(seq, task, timeMs, encodeTaskEvent({ seq: taskSeq, timeMs, event: event.event }));
}

/** Who logs in begins the roster. */
function enrolmentHandlers(keys: FleetKeys, roster: RosterEntry[]): Partial<EnrolmentServer> {
  return {
    login: (call, callback) => {
      const { tokenSecret, certificateRequest, rosterEntry } = call.request;
      roster.splice(0, roster.length, ...(rosterEntry === undefined ? [] : [rosterEntry]));
      if (tokenSecret !== tokenSecrets('good').secret) {
        callback(toStatus(new KomposeError('unauthenticated', 'this token cannot be used')));
        return;
      }
      const ada = { kind: 'user', name: 'ada' } as const;
      issueClientCertificate(keys.ca, certificateRequest, ada, keys.userDays * 86_400_000, Date.now()).then(
        ({ certificate }) => {
          const caCertificates = keys.ca.certificate;
          callback(null, { certificate, caCertificates, name: 'ada', role: 'admin', auditKey: '' });
        },
        () => callback({ code: status.INTERNAL, details: 'cannot sign', metadata: new Metadata() }),
      );
    },
  };
}
