import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { HeadWitness } from '../../common/audit/head-witness.ts';
import type { SignedMark } from '../../common/audit/signed-head.ts';
import { KomposeError } from '../../common/errors.ts';
import type { StackSummary } from '../../common/inventory.ts';
import type { RosterFile } from '../../common/roster/roster-file.ts';
import type { SealingKey } from '../../common/sealing.ts';
import { clockToleranceMs } from '../../common/signing/order.ts';
import type {
  AgentLinkClient,
  AgentMessage,
  CancelTask,
  ControllerMessage,
  StartTask,
  Welcome,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import { capabilities, protocolVersion } from '../../proto/protocol-version.ts';
import type { LocalRun, LocalRuns } from '../local/local-runs.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { TaskJournal } from '../tasks/task-journal.ts';
import { decodeSealedTask } from '../../proto/sealed-task-codec.ts';
import { Answers, type Informant } from './answers.ts';
import { examineTask } from './examine-task.ts';
import { RosterExchange } from './roster-exchange.ts';
import type { SendMessage } from './send-message.ts';
import { TaskReports } from './task-reports.ts';

/** What a session serves. */
export interface SessionHost extends Informant {
  readonly version: string;
  readonly instanceId: string;
  /** Later than that of any earlier process on this host. */
  readonly startedMs: number;
  readonly tasks: TaskRegistry;
  readonly localRuns: LocalRuns;
  /** What this host has seen of the controller's audit. */
  readonly auditWitness: HeadWitness;
  /** The host's name. */
  readonly name: string;
  /** Whose signatures count here. */
  readonly roster: RosterFile;
  /** Opens what the controller has kept for this host. */
  readonly sealingKey: SealingKey;
  readonly journal: TaskJournal;
  watchInventory(signal: AbortSignal): AsyncGenerator<StackSummary[]>;
}

interface SessionOptions {
  readonly host: SessionHost;
  /** Grows with each link of this process. */
  readonly linkNumber: number;
  /** The CAs that this host trusts, by their ids. */
  readonly trusts: readonly string[];
  readonly client: AgentLinkClient;
  readonly stream: ClientDuplexStream<AgentMessage, ControllerMessage>;
  /** Ends the link; only the first call counts. */
  readonly end: (error: KomposeError) => void;
  /** `returnWithinMs`: after a lost link. */
  readonly onWelcome: (returnWithinMs: number) => void;
  /** The controller is stopping: the link is to end, and to stand again after so long. */
  readonly onFarewell: (returnAfterMs: number) => void;
  /** The controller says that this host's certificate is to be renewed; may come often. */
  readonly onRenewalDue: () => void;
  readonly log: Logger;
}

const welcomeTimeoutMs = 10_000;

/** One link's conversation: what arrives is answered here. `close` ends all that it began. */
export class Session {
  readonly #options: SessionOptions;
  readonly #closed = new AbortController();
  readonly #send: SendMessage = (kind) => {
    if (!this.#closed.signal.aborted) this.#options.stream.write({ kind });
  };
  /** Tasks that are being opened; why, of those that are cancelled meanwhile. */
  readonly #opening = new Map<string, string | undefined>();
  readonly #reports: TaskReports;
  readonly #roster: RosterExchange;
  readonly #answers: Answers;
  #silence: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { host, log } = options;
    this.#reports = new TaskReports(options, this.#closed.signal);
    this.#roster = new RosterExchange(host.roster, this.#send, log);
    this.#answers = new Answers(host, this.#send, log);
  }

  /** Says hello; the welcome is waited for by a timer. */
  open(): void {
    const { version, instanceId, startedMs, tasks, auditWitness, roster, sealingKey } = this.#options.host;
    this.#expectWord(welcomeTimeoutMs);
    const openTasks = tasks.open.map(({ task }) => task);
    this.#reports.resume(openTasks);
    this.#send({
      $case: 'hello',
      value: {
        protocolVersion,
        capabilities: [...capabilities],
        agentVersion: version,
        instanceId,
        startedUnixMs: startedMs,
        openTasks,
        nowUnixMs: Date.now(),
        auditHead: auditWitness.newest,
        rosterRoot: roster.root,
        rosterCount: roster.current.count,
        trusts: [...this.#options.trusts],
        sealingKey: sealingKey.publicKey,
        linkNumber: this.#options.linkNumber,
      },
    });
  }

  close(): void {
    this.#closed.abort(new Error('the link ended'));
    clearTimeout(this.#silence);
    clearInterval(this.#heartbeat);
    this.#options.host.auditWitness.flush();
  }

  receive({ kind }: ControllerMessage): void {
    switch (kind?.$case) {
      case 'welcome':
        this.#begin(kind.value);
        this.#witness(kind.value.auditHead);
        this.#roster.give(kind.value);
        return;
      case 'heartbeat':
        this.#silence?.refresh();
        this.#witness(kind.value.auditHead);
        if (kind.value.renewCertificate) this.#options.onRenewalDue();
        return;
      case 'roster':
        this.#roster.take(kind.value);
        return;
      case 'startTask':
        if (kind.value.sealed.length === 0) this.#startTask(kind.value);
        else void this.#startSealed(kind.value);
        return;
      case 'cancelTask':
        this.#cancelTask(kind.value);
        return;
      case 'taskAcks':
        this.#reports.takeAcks(kind.value);
        return;
      case 'localRunAck':
        this.#reports.begin(this.#options.host.localRuns.acknowledge(kind.value.runId));
        return;
      case 'farewell':
        this.#options.onFarewell(kind.value.returnAfterMs);
        return;
      case 'rescan':
        void this.#answers.rescan(kind.value);
        return;
      case 'stackStatus':
        void this.#answers.tellStatus(kind.value);
        return;
      case 'maskWords':
        void this.#answers.tellMasked(kind.value);
        return;
      case 'gauges':
        this.#answers.tellGauges(kind.value, this.#reports.streams);
        return;
      case undefined: {
        const message = 'the controller asked for something that this agent does not know: upgrade the agent';
        this.#options.end(new KomposeError('protocol', message));
      }
    }
  }

  #begin({ protocolVersion: version, heartbeatPeriodMs, returnWithinMs }: Welcome): void {
    if (version !== protocolVersion) {
      const message = `the controller speaks protocol ${version}, this agent ${protocolVersion}: upgrade the older one`;
      this.#options.end(new KomposeError('protocol', message));
      return;
    }
    this.#expectWord(heartbeatPeriodMs * 2.5);
    this.#heartbeat = setInterval(
      () =>
        this.#send({
          $case: 'heartbeat',
          value: { nowUnixMs: Date.now(), auditHead: undefined, renewCertificate: false },
        }),
      heartbeatPeriodMs,
    );
    this.#options.onWelcome(returnWithinMs);
    void this.#tellInventory();
    this.#reports.open();
    this.#options.host.localRuns.listen((run) => this.#tellLocalRun(run));
  }

  #witness(head: SignedMark | undefined): void {
    if (head !== undefined) this.#options.host.auditWitness.saw(head);
  }

  /** Ends the link when the controller stays silent for `ms`; each heartbeat of its begins anew. */
  #expectWord(ms: number): void {
    clearTimeout(this.#silence);
    const error = new KomposeError('controller-unreachable', 'the controller has fallen silent');
    this.#silence = setTimeout(() => this.#options.end(error), ms);
  }

  /** A controller that does not know a local run yet takes its open tasks for those of a run that has ended. */
  #cancelTask({ taskId, reason }: CancelTask): void {
    const { tasks, localRuns } = this.#options.host;
    if (this.#opening.has(taskId)) this.#opening.set(taskId, reason);
    else if (!localRuns.isWaiting(taskId)) tasks.cancel(taskId, reason);
  }

  #startTask(message: StartTask): void {
    const { tasks, journal, name, roster } = this.#options.host;
    const { taskId } = message;
    if (tasks.has(taskId)) return;
    try {
      const { spec, notAfterMs } = examineTask(message, { name, roster: roster.current, nowMs: Date.now() });
      const endMs = notAfterMs + clockToleranceMs;
      journal.refuseBegun(taskId, endMs);
      tasks.start(spec, () => journal.begin(taskId, endMs));
    } catch (error) {
      this.#refuse(taskId, error);
    }
  }

  /** Once at a time: the controller may ask again meanwhile. */
  async #startSealed({ sealed, ...message }: StartTask): Promise<void> {
    const { taskId } = message;
    const { tasks, sealingKey } = this.#options.host;
    if (tasks.has(taskId) || this.#opening.has(taskId)) return;
    this.#opening.set(taskId, undefined);
    try {
      const opened = decodeSealedTask(await sealingKey.open(sealed, taskId));
      if (this.#closed.signal.aborted) return;
      this.#startTask({ ...message, ...opened, sealed: new Uint8Array() });
    } catch (error) {
      this.#refuse(taskId, error);
    } finally {
      const reason = this.#opening.get(taskId);
      this.#opening.delete(taskId);
      if (reason !== undefined) tasks.cancel(taskId, reason);
    }
  }

  #refuse(taskId: string, error: unknown): void {
    const { code, message: reason } = KomposeError.from(error);
    const denied = code === 'denied';
    if (denied) this.#options.log.warn({ task: taskId, why: reason }, 'a task is denied');
    this.#send({ $case: 'taskRefused', value: { taskId, reason, denied } });
  }

  #tellLocalRun({ run, parent, targets, startedMs, ...rest }: LocalRun): void {
    const value = {
      ...rest,
      raw: rest.raw === true,
      runId: run,
      parentRunId: parent?.run ?? '',
      parentTaskId: parent?.task ?? '',
      args: [...rest.args],
      envNames: [...rest.envNames],
      startedUnixMs: startedMs,
      targets: targets.map(({ task, host, stack }) => ({ taskId: task, host, stack })),
    };
    this.#send({ $case: 'localRun', value });
  }

  async #tellInventory(): Promise<void> {
    try {
      for await (const stacks of this.#options.host.watchInventory(this.#closed.signal)) {
        this.#answers.tellInventory(stacks);
      }
    } catch (error) {
      this.#options.log.error({ err: error }, 'the stacks root cannot be watched');
    }
  }
}
