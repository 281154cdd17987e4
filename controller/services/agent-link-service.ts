import { setTimeout as delay } from 'node:timers/promises';
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
  Inventory,
  LocalRun,
  TaskAcks,
  TaskNews,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import type { AuditHead } from '../../proto/gen/kompose/v1/audit.ts';
import type { RosterPart } from '../../proto/gen/kompose/v1/signing.ts';
import { capabilities, protocolVersion } from '../../proto/protocol-version.ts';
import type { AuditNotary } from '../audit/audit-notary.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Authorities } from '../identity/authorities.ts';
import { trustText, type Peer } from '../identity/directory.ts';
import type { RosterBook } from '../identity/roster-book.ts';
import type { RunRegistry } from '../runs/run-registry.ts';
import type { Store } from '../store/store.ts';
import { AgentSession } from './agent-session.ts';
import { cancelSignal, type Handlers } from './handlers.ts';
import { LinkReports } from './link-reports.ts';
import type { Limits } from './limits.ts';
import { clientAddress, lifeOf, requirePeer } from './peer.ts';
import { RateLimit } from './rate-limit.ts';
import {
  checkGauges,
  checkHello,
  checkLocalRun,
  checkNews,
  checkStacks,
  checkStatus,
} from './told-by-agents.ts';
import { refuseForeignTask, takeReport } from './take-report.ts';

export interface AgentLinkDeps {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly runs: RunRegistry;
  readonly handlers: Handlers;
  readonly log: Logger;
  readonly clock: () => number;
  readonly heartbeatPeriodMs: number;
  readonly notary: AuditNotary;
  readonly roster: RosterBook;
  readonly limits: Limits;
  readonly authorities: Authorities;
  /** Takes away the connection of this ADDR:PORT and certificate. */
  readonly cut: (peer: string, certificate: string) => void;
}

interface AttachDeps extends AgentLinkDeps {
  /** Of each host. */
  readonly localRunsOf: (host: string) => RateLimit;
}

/** More of why an engine could not be asked is not kept. */
const longestError = 1_000;

type AttachCall = ServerDuplexStream<AgentMessage, ControllerMessage>;

/** The agents' calls; see agent_link.proto. */
export function agentLinkService(deps: AgentLinkDeps): AgentLinkServer {
  const { aSecond, burst } = deps.limits.localRuns;
  const localRuns = new Map<string, RateLimit>();
  const localRunsOf = (host: string): RateLimit => {
    const limit = localRuns.get(host) ?? new RateLimit(aSecond, burst);
    localRuns.set(host, limit);
    return limit;
  };
  return {
    attach: (call) => {
      new AttachedAgent({ ...deps, localRunsOf }, call).serve();
    },
    checkHost: deps.handlers.unary(async (call) => {
      const peer = requirePeer(call, 'host');
      deps.fleet.checkCertificate(peer);
      const online = deps.fleet.get(peer.name)?.session !== undefined;
      return { controllerVersion: version, nowUnixMs: deps.clock(), online };
    }),
    report: (call) => {
      const signal = cancelSignal(call);
      deps.handlers.finish(call, signal, takeReport(deps, call));
    },
  };
}

/*
 * One Attach stream from hello to its end.
 *
 * INVARIANT: memory is bounded. So many messages are dealt with at a time, and the next are left to the network; what
 * waits goes with the stream; an agent that does not read what it is told loses its connection.
 */
class AttachedAgent {
  readonly #deps: AttachDeps;
  readonly #call: AttachCall;
  #session: AgentSession | undefined;
  #reports: LinkReports | undefined;
  #silence: NodeJS.Timeout | undefined;
  readonly #over = new AbortController();
  #underWay = 0;
  #heartbeatPeriodMs: number;
  /** Of the certificate that this link stands on. */
  #renewalDueMs = Number.POSITIVE_INFINITY;
  /** The CAs that the agent trusts on this link. */
  #trusts = '';

  constructor(deps: AttachDeps, call: AttachCall) {
    this.#deps = deps;
    this.#call = call;
    this.#heartbeatPeriodMs = deps.heartbeatPeriodMs;
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
    if (this.#over.signal.aborted) return;
    this.#expectWord();
    this.#underWay++;
    if (this.#underWay >= this.#deps.limits.messagesUnderWay) this.#pause();
    this.#handle(message)
      .catch((error: unknown) => this.#end(KomposeError.from(error)))
      .finally(() => {
        this.#deps.handlers.taken(this.#call);
        this.#underWay--;
        this.#resume();
      });
  }

  /** The agent may not be heard now, and is not silent for that. */
  #pause(): void {
    this.#call.pause();
    this.#expectNothing();
  }

  #resume(): void {
    if (this.#call.isPaused() && !this.#over.signal.aborted) this.#expectWord();
    this.#call.resume();
  }

  async #handle({ kind }: AgentMessage): Promise<void> {
    if (kind?.$case === 'hello') return this.#greet(kind.value);
    const session = this.#session;
    if (session === undefined) throw new KomposeError('protocol', 'an agent says hello first');
    switch (kind?.$case) {
      case 'inventory':
        await this.#takeInventory(session, kind.value);
        return undefined;
      case 'heartbeat':
        this.#deps.fleet.heard(session, kind.value.nowUnixMs);
        session.send({ $case: 'heartbeat', value: this.#heartbeat() });
        return undefined;
      case 'taskNews':
        return this.#takeNews(kind.value);
      case 'taskRefused':
        refuseForeignTask(this.#deps.runs, kind.value.taskId, session.host);
        return this.#deps.runs
          .ofTask(kind.value.taskId)
          .refuse(kind.value.taskId, kind.value.reason.slice(0, longestError), kind.value.denied);
      case 'localRun':
        await this.#adopt(session, kind.value);
        return undefined;
      case 'stackStatus': {
        const { error, stacks, requestId } = kind.value;
        session.answer(
          requestId,
          error === '' ? checkStatus(stacks) : new KomposeError('failed', error.slice(0, longestError)),
        );
        return undefined;
      }
      case 'roster':
        return this.#healRoster(session, kind.value);
      case 'maskWords':
        session.answer(kind.value.requestId, kind.value.words);
        return undefined;
      case 'gauges':
        session.answer(kind.value.requestId, checkGauges(kind.value));
        return undefined;
      case undefined:
        throw new KomposeError(
          'unsupported',
          'the agent sent a message of an unknown kind: upgrade the controller',
        );
    }
  }

  /** What one task tells wrongly ends the link and is tried again: `protocol` would end the agent. */
  async #takeNews(news: TaskNews): Promise<void> {
    try {
      await this.#reports?.take(checkNews(news));
    } catch (error) {
      const { code, message } = KomposeError.from(error);
      if (code !== 'protocol') throw error;
      throw new KomposeError('unreachable', `the link was ended: ${message}`, { cause: error });
    }
  }

  /** Whoever asked for it goes on at once; the next message waits until it is kept. */
  async #takeInventory(session: AgentSession, { requestId, ...told }: Inventory): Promise<void> {
    const stacks = checkStacks(told.stacks);
    const kept = this.#deps.fleet.setStacks(session, stacks);
    session.answer(requestId, stacks);
    await kept;
  }

  #heartbeat(): Heartbeat {
    const { clock, notary, authorities } = this.#deps;
    const renewCertificate = clock() >= this.#renewalDueMs || this.#trusts !== trustText(authorities.ids);
    return { nowUnixMs: clock(), auditHead: notary.newest, renewCertificate };
  }

  async #greet(told: AgentHello): Promise<void> {
    const hello = checkHello(told);
    const peer = requirePeer(this.#call, 'host');
    if (hello.protocolVersion !== protocolVersion) {
      const versions = `the agent speaks protocol ${hello.protocolVersion}, the controller ${protocolVersion}`;
      throw new KomposeError('protocol', `${versions}: upgrade the older one`);
    }
    this.#deps.fleet.checkCertificate(peer);
    if (this.#session !== undefined) return;
    const { clock, limits, cut } = this.#deps;
    const session = new AgentSession(peer.name, hello, this.#call, clock(), {
      end: (error) => this.#end(error),
      unreadBytes: limits.unreadBytes,
      cut: () => cut(this.#call.getPeer(), peer.fingerprint),
    });
    this.#deps.fleet.refuseEarlier(session);
    this.#session = session;
    const life = lifeOf(this.#call);
    if (life !== undefined) this.#renewalDueMs = renewalDueMs(life, peer.name);
    this.#trusts = trustText(hello.trusts);
    this.#takeWitness(peer, hello.auditHead);
    this.#welcome(session);
    this.#tellRoster(session, hello);
    const { agentVersion, openTasks } = hello;
    const send = (value: TaskAcks): void => {
      if (!this.#over.signal.aborted) session.send({ $case: 'taskAcks', value });
    };
    this.#reports = new LinkReports({ runs: this.#deps.runs, host: peer.name, agentVersion, send });
    this.#deps.fleet.connect(session, { agentVersion, trusts: this.#trusts }, new Set(openTasks));
    this.#reports.resume(openTasks);
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
    const { heartbeatPeriodMs: shortestMs, limits, fleet } = this.#deps;
    const ms = Math.max(shortestMs, (fleet.size / limits.heartbeatsASecond) * 1000);
    // Spread by a tenth, so that a fleet that came back together does not beat together.
    const heartbeatPeriodMs = Math.round(ms * (0.9 + Math.random() * 0.1));
    this.#heartbeatPeriodMs = heartbeatPeriodMs;
    this.#expectNothing();
    this.#expectWord();
    const value = {
      protocolVersion,
      capabilities: [...capabilities],
      controllerVersion: version,
      heartbeatPeriodMs,
      auditHead: this.#deps.notary.newest,
      rosterRoot: this.#deps.roster.current.root ?? '',
      rosterCount: this.#deps.roster.current.count,
      rosterHead: this.#deps.roster.current.head,
      returnWithinMs: fleet.returnWithinMs,
    };
    session.send({ $case: 'welcome', value });
  }

  /** An agent that trusts another root takes none of it: it hears of that in the welcome. */
  #tellRoster(session: AgentSession, { rosterRoot, rosterCount }: AgentHello): void {
    const { root, entries } = this.#deps.roster.current;
    if (root === rosterRoot) session.tellRoster(rosterCount, entries.slice(rosterCount));
  }

  /** The host knows more of the roster than we: what stands is taken, what does not is a host's lie. */
  async #healRoster({ host }: AgentSession, { after, entries }: RosterPart): Promise<void> {
    const { roster, log } = this.#deps;
    const actor = { name: host, role: 'agent', certificate: requirePeer(this.#call, 'host').fingerprint };
    try {
      await roster.heal(after, entries, { actor, clientAddress: clientAddress(this.#call) });
      log.info({ host, after }, 'the roster has grown by what a host still had of it');
    } catch (error) {
      log.warn({ host, why: KomposeError.from(error).message }, 'a host has another roster');
    }
  }

  /** A run that began on the host: from now on it is one of ours. */
  async #adopt(session: AgentSession, local: LocalRun): Promise<void> {
    const { runId, parentRunId, parentTaskId, targets, startedUnixMs, ...rest } = checkLocalRun(local);
    const parent = parentRunId === '' ? undefined : { run: parentRunId, task: parentTaskId };
    const tasks = targets.map(({ taskId, stack }) => ({ id: taskId, stack }));
    const run = { ...rest, id: runId, parent, tasks, startedMs: startedUnixMs };
    // An agent tells again, on its next link, of what was not acknowledged.
    const { signal } = this.#over;
    await delay(this.#deps.localRunsOf(session.host).reserve(), undefined, { ref: false, signal });
    await this.#deps.runs.adopt(run, session.host, clientAddress(this.#call));
    session.send({ $case: 'localRunAck', value: { runId } });
  }

  /** From now on; a timer that stands is set back, which costs nothing. */
  #expectWord(): void {
    if (this.#silence !== undefined) {
      this.#silence.refresh();
      return;
    }
    this.#silence = setTimeout(() => {
      this.#end(new KomposeError('unreachable', 'the agent has fallen silent'));
    }, this.#heartbeatPeriodMs * 2.5);
  }

  #expectNothing(): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }

  #end(error: KomposeError): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(error);
    this.#expectNothing();
    const session = this.#session;
    if (session !== undefined) {
      session.close();
      this.#deps.fleet.disconnect(session);
      this.#deps.log.info({ host: session.host, why: error.message }, 'a host is offline');
    }
    this.#call.emit('error', this.#deps.handlers.status(error));
  }
}
