import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { HeadWitness } from '../../common/audit/head-witness.ts';
import type { SignedMark } from '../../common/audit/signed-head.ts';
import { KomposeError } from '../../common/errors.ts';
import type { Gauges } from '../../common/gauges.ts';
import type { StackStatus, StackSummary } from '../../common/inventory.ts';
import { entriesAMessage } from '../../common/roster/entry.ts';
import type { RosterFile } from '../../common/roster/roster-file.ts';
import type { SealingKey } from '../../common/sealing.ts';
import { clockToleranceMs } from '../../common/signing/order.ts';
import type {
  AgentLinkClient,
  AgentMessage,
  CancelTask,
  ControllerMessage,
  MaskWordsRequest,
  StartTask,
  Welcome,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import type { RosterPart } from '../../proto/gen/kompose/v1/signing.ts';
import { capabilities, protocolVersion } from '../../proto/protocol-version.ts';
import type { LocalRun, LocalRuns } from '../local/local-runs.ts';
import type { WordsToMask } from '../tasks/mask-words.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { TaskJournal } from '../tasks/task-journal.ts';
import { decodeSealedTask } from '../../proto/sealed-task-codec.ts';
import { examineTask } from './examine-task.ts';
import { TaskReports } from './task-reports.ts';

/** What a session serves. */
export interface SessionHost {
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
  takeInventory(): Promise<StackSummary[]>;
  watchInventory(signal: AbortSignal): AsyncGenerator<StackSummary[]>;
  askStatus(): Promise<StackStatus[]>;
  maskWords(words: WordsToMask): Promise<string[]>;
  /** What this agent takes; `reports` are the streams of this link beside it. */
  readGauges(reports: number): Gauges;
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
  /** Tasks that are being opened; why, of those that are cancelled meanwhile. */
  readonly #opening = new Map<string, string | undefined>();
  readonly #reports: TaskReports;
  #silence: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#reports = new TaskReports(options, this.#closed.signal);
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
        this.#giveRoster(kind.value);
        return;
      case 'heartbeat':
        this.#silence?.refresh();
        this.#witness(kind.value.auditHead);
        if (kind.value.renewCertificate) this.#options.onRenewalDue();
        return;
      case 'roster':
        this.#takeRoster(kind.value);
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
        void this.#rescan(kind.value.requestId);
        return;
      case 'stackStatus':
        void this.#tellStatus(kind.value.requestId);
        return;
      case 'maskWords':
        void this.#tellMasked(kind.value);
        return;
      case 'gauges': {
        const { requestId } = kind.value;
        const gauges = this.#options.host.readGauges(this.#reports.streams);
        this.#send({ $case: 'gauges', value: { requestId, gauges } });
        return;
      }
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

  /** What the controller lacks of the roster, and a warning where it has another one. */
  #giveRoster({ rosterRoot, rosterCount, rosterHead }: Welcome): void {
    const { roster } = this.#options.host;
    if (rosterRoot !== roster.root) this.#doubtRoster(otherRoot(rosterRoot, roster.root));
    else if (rosterCount === roster.current.count && rosterHead !== roster.current.head)
      this.#doubtRoster('it differs from the one that this host has seen, though it is as long');
    else if (rosterCount < roster.current.count) {
      for (let after = rosterCount; after < roster.current.count; after += entriesAMessage) {
        const entries = roster.current.entries.slice(after, after + entriesAMessage);
        this.#send({ $case: 'roster', value: { after, entries } });
      }
    }
  }

  #takeRoster({ after, entries }: RosterPart): void {
    try {
      this.#options.host.roster.take(after, entries);
    } catch (error) {
      this.#doubtRoster(KomposeError.from(error).message);
    }
  }

  #doubtRoster(why: string): void {
    this.#options.log.error({ why }, "the controller's roster is not taken: nobody's signature counts by it");
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
        this.#sendInventory(stacks, '');
      }
    } catch (error) {
      this.#options.log.error({ err: error }, 'the stacks root cannot be watched');
    }
  }

  async #rescan(requestId: string): Promise<void> {
    const stacks = await this.#options.host.takeInventory().catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'the stacks root cannot be read');
      return [];
    });
    this.#sendInventory(stacks, requestId);
  }

  #sendInventory(stacks: readonly StackSummary[], requestId: string): void {
    const wire = stacks.map((stack) => ({
      ...stack,
      hooks: [...stack.hooks],
      services: [...stack.services],
    }));
    this.#send({ $case: 'inventory', value: { stacks: wire, requestId } });
  }

  async #tellStatus(requestId: string): Promise<void> {
    const answer = await this.#options.host.askStatus().then(
      (stacks) => ({
        error: '',
        stacks: stacks.map(({ name, servicesUp }) => ({ name, servicesUp: [...servicesUp] })),
      }),
      (error: unknown) => ({ error: KomposeError.from(error).message, stacks: [] }),
    );
    this.#send({ $case: 'stackStatus', value: { requestId, ...answer } });
  }

  async #tellMasked({ requestId, ...question }: MaskWordsRequest): Promise<void> {
    const words = await this.#options.host.maskWords(question);
    this.#send({ $case: 'maskWords', value: { requestId, words } });
  }

  #send(kind: NonNullable<AgentMessage['kind']>): void {
    if (!this.#closed.signal.aborted) this.#options.stream.write({ kind });
  }
}

function otherRoot(theirs: string, ours: string): string {
  const told = theirs === '' ? 'the controller has no roster' : `it begins with the key ${theirs}`;
  const way = `if an admin says that it is right: kompose agent trust ${theirs || 'FINGERPRINT'}`;
  return `${told}; this host trusts ${ours}; ${way}`;
}
