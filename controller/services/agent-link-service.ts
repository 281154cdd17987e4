import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { renewalDueMs } from '../../common/certificate-life.ts';
import { KomposeError } from '../../common/errors.ts';
import { version } from '../../common/version.ts';
import type {
  AgentHello,
  AgentLinkServer,
  AgentMessage,
  ControllerMessage,
  Heartbeat,
  LocalRun,
  TaskControl,
  TaskReport,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import type { AuditHead } from '../../proto/gen/kompose/v1/audit.ts';
import { capabilities, protocolVersion } from '../../proto/protocol-version.ts';
import type { AuditNotary } from '../audit/audit-notary.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { findHost, type Peer } from '../identity/directory.ts';
import type { RunRegistry } from '../runs/run-registry.ts';
import type { StdinLink } from '../runs/stdin-relay.ts';
import type { Store } from '../store/store.ts';
import { AgentSession } from './agent-session.ts';
import { cancelSignal, incoming, type Handlers } from './handlers.ts';
import { clientAddress, lifeOf, requirePeer } from './peer.ts';

export interface AgentLinkDeps {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly runs: RunRegistry;
  readonly handlers: Handlers;
  readonly log: Logger;
  readonly clock: () => number;
  readonly heartbeatPeriodMs: number;
  readonly notary: AuditNotary;
}

type AttachCall = ServerDuplexStream<AgentMessage, ControllerMessage>;
type ReportCall = ServerDuplexStream<TaskReport, TaskControl>;

/** The agents' calls; see agent_link.proto. */
export function agentLinkService(deps: AgentLinkDeps): AgentLinkServer {
  return {
    attach: (call) => {
      new AttachedAgent(deps, call).serve();
    },
    checkHost: deps.handlers.unary(async (call) => {
      const peer = requirePeer(call, 'host');
      await findHost(deps.store, peer);
      const online = deps.fleet.get(peer.name)?.session !== undefined;
      return { controllerVersion: version, nowUnixMs: deps.clock(), online };
    }),
    report: (call) => {
      const signal = cancelSignal(call);
      deps.handlers.finish(call, signal, takeReport(deps, call));
    },
  };
}

/** One Attach stream from hello to its end. */
class AttachedAgent {
  readonly #deps: AgentLinkDeps;
  readonly #call: AttachCall;
  #session: AgentSession | undefined;
  #silence: NodeJS.Timeout | undefined;
  #isOver = false;
  /** Of the certificate that this link stands on. */
  #renewalDueMs = Number.POSITIVE_INFINITY;

  constructor(deps: AgentLinkDeps, call: AttachCall) {
    this.#deps = deps;
    this.#call = call;
  }

  serve(): void {
    this.#call.on('error', () => undefined);
    try {
      requirePeer(this.#call, 'host');
    } catch (error) {
      this.#end(KomposeError.from(error));
      return;
    }
    this.#expectWord();
    this.#call.on('data', (message: AgentMessage) => this.#receive(message));
    this.#call.on('end', () => this.#end(new KomposeError('unreachable', 'the agent ended the link')));
    this.#call.on('cancelled', () => this.#end(new KomposeError('unreachable', 'the link was lost')));
    this.#call.on('error', () => this.#end(new KomposeError('unreachable', 'the link broke')));
  }

  #receive(message: AgentMessage): void {
    if (this.#isOver) return;
    this.#expectWord();
    this.#handle(message).catch((error: unknown) => this.#end(KomposeError.from(error)));
  }

  async #handle({ kind }: AgentMessage): Promise<void> {
    if (kind?.$case === 'hello') return this.#greet(kind.value);
    const session = this.#session;
    if (session === undefined) throw new KomposeError('protocol', 'an agent says hello first');
    switch (kind?.$case) {
      case 'inventory':
        this.#deps.fleet.setStacks(session, kind.value.stacks);
        session.answer(kind.value.requestId, kind.value.stacks);
        return undefined;
      case 'heartbeat':
        this.#deps.fleet.heard(session, kind.value.nowUnixMs);
        session.send({ $case: 'heartbeat', value: this.#heartbeat() });
        return undefined;
      case 'taskRefused':
        refuseForeignTask(this.#deps.runs, kind.value.taskId, session.host);
        return this.#deps.runs.ofTask(kind.value.taskId).refuse(kind.value.taskId, kind.value.reason);
      case 'localRun':
        await this.#adopt(session, kind.value);
        return undefined;
      case 'stackStatus': {
        const { error, stacks, requestId } = kind.value;
        session.answer(requestId, error === '' ? stacks : new KomposeError('failed', error));
        return undefined;
      }
      case 'maskWords':
        session.answer(kind.value.requestId, kind.value.words);
        return undefined;
      case undefined:
        throw new KomposeError(
          'unsupported',
          'the agent sent a message of an unknown kind: upgrade the controller',
        );
    }
  }

  #heartbeat(): Heartbeat {
    const { clock, notary } = this.#deps;
    const renewCertificate = clock() >= this.#renewalDueMs;
    return { nowUnixMs: clock(), auditHead: notary.newest, renewCertificate };
  }

  async #greet(hello: AgentHello): Promise<void> {
    const peer = requirePeer(this.#call, 'host');
    if (hello.protocolVersion !== protocolVersion) {
      const versions = `the agent speaks protocol ${hello.protocolVersion}, the controller ${protocolVersion}`;
      throw new KomposeError('protocol', `${versions}: upgrade the older one`);
    }
    await findHost(this.#deps.store, peer);
    if (this.#isOver || this.#session !== undefined) return;
    const session = new AgentSession(peer.name, hello, this.#call, this.#deps.clock(), (error) =>
      this.#end(error),
    );
    this.#deps.fleet.refuseEarlier(session);
    this.#session = session;
    const life = lifeOf(this.#call);
    if (life !== undefined) this.#renewalDueMs = renewalDueMs(life, peer.name);
    this.#takeWitness(peer, hello.auditHead);
    this.#welcome(session);
    this.#deps.fleet.connect(session, hello.agentVersion, new Set(hello.openTasks));
    this.#deps.fleet.heard(session, hello.nowUnixMs);
    this.#deps.log.info({ host: peer.name, address: this.#call.getPeer() }, 'a host is online');
  }

  /** What this host has seen of the audit. */
  #takeWitness(peer: Peer, head: AuditHead | undefined): void {
    if (head === undefined) return;
    const actor = { name: peer.name, role: 'agent', certificate: peer.fingerprint };
    const witness = { actor, host: peer.name, clientAddress: clientAddress(this.#call) };
    void this.#deps.notary.present(head, witness);
  }

  #welcome(session: AgentSession): void {
    // Spread by a tenth, so that a fleet that came back together does not beat together.
    const heartbeatPeriodMs = Math.round(this.#deps.heartbeatPeriodMs * (0.9 + Math.random() * 0.1));
    const value = {
      protocolVersion,
      capabilities: [...capabilities],
      controllerVersion: version,
      heartbeatPeriodMs,
      auditHead: this.#deps.notary.newest,
    };
    session.send({ $case: 'welcome', value });
  }

  /** A run that began on the host: from now on it is one of ours. */
  async #adopt(session: AgentSession, local: LocalRun): Promise<void> {
    const { runId, parentRunId, parentTaskId, targets, startedUnixMs, ...rest } = local;
    const parent = parentRunId === '' ? undefined : { run: parentRunId, task: parentTaskId };
    const tasks = targets.map(({ taskId, stack }) => ({ id: taskId, stack }));
    const run = { ...rest, id: runId, parent, tasks, startedMs: startedUnixMs };
    await this.#deps.runs.adopt(run, session.host, clientAddress(this.#call));
    session.send({ $case: 'localRunAck', value: { runId } });
  }

  #expectWord(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#end(new KomposeError('unreachable', 'the agent has fallen silent'));
    }, this.#deps.heartbeatPeriodMs * 2.5);
  }

  #end(error: KomposeError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#silence);
    const session = this.#session;
    if (session !== undefined) {
      session.close();
      this.#deps.fleet.disconnect(session);
      this.#deps.log.info({ host: session.host, why: error.message }, 'a host is offline');
    }
    this.#call.emit('error', this.#deps.handlers.status(error));
  }
}

/** Takes a task's events; acknowledges what is in the log, and has been seen where somebody sets the pace. */
async function takeReport({ runs, fleet, store }: AgentLinkDeps, call: ReportCall): Promise<void> {
  const peer = requirePeer(call, 'host');
  await findHost(store, peer);
  const agentVersion = fleet.get(peer.name)?.agentVersion ?? '';
  let task: string | undefined;
  let isFed = false;
  const link: StdinLink = {
    send: (piece) => void call.write({ kind: { $case: 'stdin', value: piece } }),
    resize: (size) => void call.write({ kind: { $case: 'resize', value: size } }),
  };
  for await (const { kind } of incoming<TaskReport>(call)) {
    if (kind?.$case === 'opening') {
      task = kind.value.taskId;
      refuseForeignTask(runs, task, peer.name);
      call.write(ack(runs.ofTask(task).lastSeq(task)));
    } else if (kind?.$case === 'events' && task !== undefined) {
      const run = runs.ofTask(task);
      await run.take(task, kind.value.events, agentVersion);
      const seq = run.lastSeq(task);
      void run.seen().then(() => call.writable && call.write(ack(seq)));
    } else if (kind?.$case === 'stdinProgress' && task !== undefined) {
      const run = runs.ofTask(task);
      run.stdin?.progress(kind.value.taken);
      // An earlier process of the controller had the link to the client, and what had come over it.
      if (run.stdin === undefined) run.abandon('its stdin was lost when the controller was restarted');
      else if (!isFed) run.stdin.attach(link);
      isFed = true;
    } else {
      throw new KomposeError('protocol', 'a report is opened first, then holds events');
    }
  }
}

/** A host reports its own tasks only. */
function refuseForeignTask(runs: RunRegistry, task: string, host: string): void {
  if (runs.ofTask(task).hostOf(task) === host) return;
  throw new KomposeError('not-found', `there is no open task ${task} of ${host}`);
}

function ack(seq: number): TaskControl {
  return { kind: { $case: 'ack', value: { seq } } };
}
