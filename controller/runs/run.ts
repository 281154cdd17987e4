import type { Logger } from 'pino';
import type { ClientTerminal } from '../../common/client-terminal.ts';
import { commandTraits, type CommandTraits } from '../../common/compose-command.ts';
import { takesTerminal } from '../../common/terminal-command.ts';
import type { EventLog } from '../../common/event-log.ts';
import type { RunEvent, TaskFinished, TaskState } from '../../common/task-event.ts';
import { decodeRunEvent } from '../../proto/event-codec.ts';
import type { SignedMark } from '../../common/audit/signed-head.ts';
import type { Actor } from '../audit/audit.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { allAtOnce } from '../../common/rollout.ts';
import { outputPolicy } from './output-policy.ts';
import { RunLog } from './run-log.ts';
import type { RunTerms } from './run-terms.ts';
import { Scheduler } from './scheduler.ts';
import { StdinRelay } from './stdin-relay.ts';
import { runOutcome } from '../../common/run-outcome.ts';
import type { Cancellation, RunFacts, TaskFacts } from './run-facts.ts';
import type { RunRecords } from './run-records.ts';
import { RunTasks } from './run-tasks.ts';
import { TaskOrders } from './task-orders.ts';
import { isOver, type TaskProgress } from './task-progress.ts';
import { endsUnwatched, isOfHost } from './watcher-needs.ts';
import { Watchers, type Watcher } from './watchers.ts';

export interface RunDeps {
  readonly fleet: Fleet;
  readonly records: RunRecords;
  readonly log: EventLog;
  readonly clock: () => number;
  readonly logger: Logger;
  /** Of each task's output so much is kept, where any is. */
  readonly keptBytes: number;
}

/** What the store tells of a run that an earlier process of the controller began, beside its log. */
export interface Resumed {
  /** How tasks ended that are recorded as ended; the log may lack that. */
  readonly ends: ReadonlyMap<string, { readonly state: TaskState; readonly reason: string }>;
  /** Why tasks may not start. */
  readonly denied: ReadonlyMap<string, string>;
  readonly cancelled: Cancellation | undefined;
}

/*
 * One run from its start to its end.
 *
 * INVARIANTS
 * - The run ends right after its last task.
 * - The log holds an event, and whoever sets the pace has been given it, before the agent hears that it may forget it.
 * - Nothing that the run needs to go on is in this process only: a later one takes it up where it stood.
 * - On one host the tasks of a changing command run one by one in the order of the targets.
 */
export class Run {
  readonly facts: RunFacts;
  readonly #terms: RunTerms | undefined;
  readonly #deps: RunDeps;
  readonly #traits: CommandTraits;
  readonly #tasks: RunTasks;
  readonly #orders: TaskOrders;
  /** Of the client, where the one target's action reads it. */
  readonly stdin: StdinRelay | undefined;
  readonly #finished = Promise.withResolvers<void>();
  readonly #scheduler: Scheduler<TaskProgress>;
  #finishing: Promise<void> | undefined;
  #auditHead: SignedMark | undefined;
  #cancelledBy: Actor | undefined;
  #whyCancelled = '';
  /** Why tasks are not to start any more, also where their host may have been asked for them already. */
  #denied: ReadonlyMap<string, string> = new Map();
  #isPaused = false;
  /** Hosts that have not been heard of since this process took the run up. */
  readonly #returning = new Set<string>();
  /** What their agents have said last that they have. */
  readonly #newestWord = new Map<string, ReadonlySet<string>>();
  /** When an earlier process began to wait for them. */
  readonly #awaitedSince = new Map<string, number>();
  /** Tasks that the log says are not asked for: their hosts are waited for. */
  readonly #unasked = new Set<string>();
  readonly #log: RunLog;
  readonly #watchers: Watchers;

  /** `terms` are absent for a run that began on a host. */
  constructor(facts: RunFacts, tasks: readonly TaskFacts[], terms: RunTerms | undefined, deps: RunDeps) {
    this.facts = facts;
    this.#terms = terms;
    this.#deps = deps;
    this.#traits = commandTraits(facts.command, facts.args);
    if (terms?.hasStdin === true) this.stdin = new StdinRelay(terminalOf(facts, terms));
    const output = outputPolicy(facts, tasks.length, terms, deps.keptBytes);
    const { command, raw: isRaw = false } = facts;
    this.#log = new RunLog(deps.log, deps.clock, { keptBytes: output.keptBytes, command, isRaw });
    const onUnwatched = (): void => this.#unwatched();
    this.#watchers = new Watchers({ setPace: output.windowBytes > 0 && !isOfHost(facts), onUnwatched });
    this.#orders = new TaskOrders(deps.fleet, { signedPart: terms?.signedPart, output, stdin: this.stdin });
    this.#tasks = new RunTasks(tasks, {
      facts,
      records: deps.records,
      log: this.#log,
      clock: deps.clock,
      agentVersion: (host) => this.#orders.agentVersion(host),
      complain: (error) => this.#complain(error),
    });
    this.#scheduler = new Scheduler({
      tasksByHost: this.#tasks.byHost,
      rollout: terms?.rollout ?? allAtOnce,
      offline: terms?.offline ?? { kind: 'fail' },
      reads: this.#traits.reads,
      isOnline: (host) => this.#orders.isOnline(host),
      isReturning: (host) => this.#returning.has(host),
      awaitedSince: (host) => this.#awaitedSince.get(host),
      endedMs: ({ endedMs }) => endedMs,
      clock: deps.clock,
      start: (task) => {
        // One that is denied ends with the word of its host that it does not have it.
        if (!this.#denied.has(task.id)) this.#send(task);
      },
      end: (task, state, reason) => this.#tasks.end(task, state, reason),
      wait: (task, waitingFor) => {
        this.#unasked.add(task.id);
        this.#log.own(task.place, { type: 'task.queued', waitingFor });
      },
      whyOffline: (host) => this.#orders.whyOffline(host),
      changed: () => void this.#finishIfDone().catch((error: unknown) => this.#complain(error)),
      failed: (error) => this.#complain(error),
    });
  }

  get log(): EventLog {
    return this.#deps.log;
  }

  /** Over all of it; undefined before its end, and where it could not be signed. */
  get auditHead(): SignedMark | undefined {
    return this.#auditHead;
  }

  /** Resolves when the run has ended and its log is complete. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  get taskIds(): readonly string[] {
    return this.#tasks.all.map(({ id }) => id);
  }

  get hosts(): readonly string[] {
    return [...this.#tasks.byHost.keys()];
  }

  /**
   * What was asked for, as rights are checked: with the arguments as they are, not as they are shown; of a run of an
   * earlier process they are no longer known otherwise.
   */
  get asked(): { command: string; args: readonly string[]; envNames: readonly string[] } {
    const { args, envNames } = this.#terms ?? this.facts;
    return { command: this.facts.command, args, envNames: (envNames ?? []).toSorted() };
  }

  get unended(): readonly TaskProgress[] {
    return this.#tasks.all.filter((task) => !isOver(task));
  }

  /**
   * These tasks are not allowed any more, and no others: ends them, but for a change that is under way, or may be on a host
   * that is not back.
   */
  async deny(reasons: ReadonlyMap<string, string>): Promise<void> {
    this.#denied = reasons;
    const denied = this.unended.filter(({ id }) => reasons.has(id));
    for (const task of denied) {
      const reason = reasons.get(task.id) ?? '';
      if (this.#mayBeUnderWay(task)) continue;
      if (task.phase === 'queued') await this.#tasks.end(task, 'denied', reason);
      else if (this.#livesByItsClient) await this.#cancelTask(task, reason);
    }
    if (denied.length > 0) await this.#advance(this.hosts);
  }

  /** Writes the run's first event, ends what may not run (with its reason), and asks the hosts for the rest. */
  async begin(denied: ReadonlyMap<string, string>): Promise<void> {
    this.#tellStart();
    this.#watchers.expect();
    const refused = this.#tasks.all.filter((task) => denied.has(task.id));
    await Promise.all(refused.map((task) => this.#tasks.end(task, 'denied', denied.get(task.id) ?? '')));
    await this.#advance(this.hosts);
  }

  /**
   * Takes up a run of an earlier process: what its log holds is where it stands. What it may have asked hosts for is known
   * when they are back.
   */
  async resume({ ends, denied, cancelled }: Resumed): Promise<void> {
    for await (const records of this.log.snapshot()) {
      for (const { bytes } of records) this.#replay(decodeRunEvent(bytes));
    }
    if (this.log.count === 0) this.#tellStart();
    this.#cancelledBy = cancelled?.actor;
    this.#whyCancelled = cancelled?.reason ?? '';
    for (const task of this.#tasks.all.filter(({ phase }) => phase === 'queued')) {
      const end = ends.get(task.id);
      if (end !== undefined) await this.#tasks.end(task, end.state, end.reason);
    }
    for (const task of this.#tasks.all)
      if (!ends.has(task.id))
        await this.#tasks.recordEnd(task).catch((error: unknown) => this.#complain(error));
    for (const [host, tasks] of this.#tasks.byHost)
      if (tasks.some(({ id }) => !this.#unasked.has(id))) this.#returning.add(host);
    await this.deny(denied);
    await this.#advance(this.hosts);
    if (cancelled !== undefined) {
      const queued = this.#tasks.all.filter(({ phase }) => phase === 'queued');
      await Promise.all(queued.map((task) => this.#cancelTask(task, cancelled.reason)));
      await this.#finishIfDone();
    }
    // Whoever watched has to come back, as after a lost link.
    this.#watchers.expect();
  }

  /** The task's newest event in the log, from which the agent goes on; of an ended task there is nothing to come. */
  lastSeq(taskId: string): number {
    const task = this.#tasks.get(taskId);
    return task.phase === 'ended' ? Number.MAX_SAFE_INTEGER : task.lastSeq;
  }

  /** Throws `not-found`. */
  hostOf(taskId: string): string {
    return this.#tasks.get(taskId).host;
  }

  /** Takes an agent's events in order; resolves when they are in the log. Throws `protocol` for a hole. */
  async take(taskId: string, events: readonly Uint8Array[], agentVersion: string): Promise<void> {
    const task = this.#tasks.get(taskId);
    await this.#tasks.take(task, events, agentVersion);
    if (task.phase === 'ended') await this.#advance([task.host]);
  }

  /** An agent could not accept a task, or found that its user did not sign it. */
  async refuse(taskId: string, reason: string, isDenied: boolean): Promise<void> {
    const task = this.#tasks.get(taskId);
    const state = isDenied ? 'denied' : 'failed';
    await this.#tasks.end(task, state, `the agent of ${task.host} refused the task: ${reason}`);
    await this.#advance([task.host]);
  }

  /** Somebody ends the run. */
  async cancel(actor: Actor, clientAddress: string, reason: string): Promise<void> {
    if (this.#tasks.haveEnded) return;
    if (this.#cancelledBy === undefined) this.#whyCancelled = reason;
    this.#cancelledBy ??= actor;
    await this.#deps.records.cancelled(this.facts, actor, clientAddress, reason);
    await Promise.all(this.#tasks.all.map((task) => this.#cancelTask(task, reason)));
    await this.#finishIfDone();
  }

  /** Somebody watches, from after an event on; `isOwner`: who started the run. */
  watch(isOwner: boolean, afterSeq: number): Watcher {
    return this.#watchers.open(isOwner, afterSeq);
  }

  /** Resolves when whoever sets the pace of this run has been given all that is in its log now. */
  seen(): Promise<void> {
    return this.#watchers.reached(this.log.count);
  }

  /** Whether a user may see output that is not kept: that of --raw is its own user's alone. */
  showsUnkept(user: string): boolean {
    return this.facts.raw !== true || this.facts.actor.name === user;
  }

  /** The controller is about to end: nothing is started any more, and no host that leaves is held against the run. */
  pause(): void {
    this.#isPaused = true;
    this.#scheduler.close();
  }

  /** The controller ends; the run may go on without it. */
  close(): void {
    this.#watchers.close();
  }

  /** A host of this run is linked (again); `openTasks` are those that its agent has. */
  async hostOnline(host: string, openTasks: ReadonlySet<string>): Promise<void> {
    this.#returning.delete(host);
    this.#awaitedSince.delete(host);
    this.#newestWord.set(host, openTasks);
    const tasks = this.#tasks.byHost.get(host) ?? [];
    for (const task of tasks.filter(({ id }) => openTasks.has(id))) {
      if (task.phase === 'queued') task.phase = 'sent';
      const why = this.#whyEnd(task);
      if (why !== undefined) this.#orders.cancel(task, why);
    }
    const missing = tasks.filter(({ id }) => !openTasks.has(id)).map((task) => ({ task, phase: task.phase }));
    for (const { task, phase } of missing) {
      // It may have been asked for since the agent said what it has.
      if (task.phase === phase) await this.#missing(task);
      if (this.#newestWord.get(host) !== openTasks) return;
    }
    await this.#advance([host]);
  }

  /** Why a task that its host has open is to be ended there; undefined if it goes on. */
  #whyEnd(task: TaskProgress): string | undefined {
    if (isOver(task) || this.#cancelledBy !== undefined) return 'the run was cancelled';
    return this.#livesByItsClient ? this.#denied.get(task.id) : undefined;
  }

  /** A host of this run is away for so long that its tasks are given up. */
  async hostLost(host: string): Promise<void> {
    const tasks = this.#tasks.byHost.get(host) ?? [];
    const unsure = new Set(tasks.filter((task) => this.#mayBeUnderWay(task)));
    for (const task of tasks) {
      if (unsure.has(task)) await this.#tasks.end(task, 'lost', neverBack(host));
      else if (task.phase !== 'queued')
        await this.#tasks.end(task, 'lost', `host ${host} went away while the task ran`);
      else if (this.#terms === undefined || !this.#orders.isKnown(host))
        await this.#tasks.end(task, 'unreachable', this.#orders.whyOffline(host));
    }
    // Of the others --offline decides.
    this.#returning.delete(host);
    await this.#advance([host]);
  }

  #tellStart(): void {
    const { id, pattern, command, args, actor, dryRun } = this.facts;
    const targets = this.#tasks.all.map(({ id: task, host, stack }) => ({ task, host, stack }));
    const started = { run: id, targets, pattern, command, args, user: actor.name, dryRun };
    this.#log.run({ type: 'run.started', ...started });
  }

  /** A task is not asked for from the word that its host is waited for until another, or one of its agent's. */
  #replay(runEvent: RunEvent): void {
    this.#tasks.replay(runEvent);
    if (!('taskSeq' in runEvent)) return;
    const { task, taskSeq, timeMs, event } = runEvent;
    const { id = '', host = '' } = this.#tasks.all[task - 1] ?? {};
    if (taskSeq === 0 && event.type === 'task.queued' && event.waitingFor !== '') {
      this.#awaitedSince.set(host, timeMs);
      this.#unasked.add(id);
    } else if (taskSeq > 0 || event.type === 'task.queued') {
      this.#awaitedSince.delete(host);
      this.#unasked.delete(id);
    }
  }

  /** Whether an earlier process may have asked for a task whose host has not been heard of since. */
  #mayBeUnderWay(task: TaskProgress): boolean {
    return !this.#unasked.has(task.id) && this.#scheduler.mayBeUnderWay(task);
  }

  #unwatched(): void {
    if (endsUnwatched(this.facts, this.#terms) && !this.#tasks.haveEnded)
      this.abandon('nobody watches any more');
  }

  /** There is no harm in ending it half way: nobody but the client has anything of it. */
  get #livesByItsClient(): boolean {
    return this.#traits.reads || this.#traits.endsWithWatcher || this.#traits.readsStdin;
  }

  /** Ends a run that cannot go on without its client. */
  abandon(reason: string): void {
    const actor = { name: 'controller', role: 'controller', certificate: '' };
    this.cancel(actor, '', reason).catch((error: unknown) => this.#complain(error));
  }

  /** The agent is back and does not have the task. */
  async #missing(task: TaskProgress): Promise<void> {
    const isUnbegun = task.phase === 'sent' || task.phase === 'queued';
    const whyDenied = this.#denied.get(task.id);
    if (isUnbegun && this.#cancelledBy !== undefined)
      await this.#tasks.end(task, 'cancelled', this.#whyCancelled);
    else if (isUnbegun && whyDenied !== undefined) await this.#tasks.end(task, 'denied', whyDenied);
    else if (task.phase === 'sent') this.#send(task);
    else if (task.phase === 'running') {
      await this.#tasks.end(
        task,
        'lost',
        `the agent of ${task.host} has lost the task; its output shows how far it came`,
      );
    } else if (task.phase === 'queued' && this.#terms?.signedPart(task.id) === undefined) {
      await this.#tasks.end(task, 'cancelled', this.#terms?.whyGone ?? 'it was never told of on its host');
    }
  }

  async #cancelTask(task: TaskProgress, reason: string): Promise<void> {
    if (task.phase === 'queued') {
      // Whether an earlier process had it started is known when its host is back or given up.
      if (!this.#mayBeUnderWay(task)) await this.#tasks.end(task, 'cancelled', reason);
    } else if (!this.#orders.isOnline(task.host)) {
      const message = `host ${task.host} is away: its task may go on until it is back and hears of the cancel`;
      await this.#tasks.end(task, 'lost', message);
    } else if (!isOver(task)) {
      this.#orders.cancel(task, reason);
    }
  }

  /** Asks for the tasks whose turn it is, now that something changed on these hosts; the run ends with its last. */
  async #advance(changed: readonly string[]): Promise<void> {
    // The host itself starts those of a run that began there.
    if (this.#terms !== undefined && !this.#isPaused) await this.#scheduler.advance(changed);
    await this.#finishIfDone();
  }

  #send(task: TaskProgress): void {
    // A later process must not take it for one that was never asked.
    if (this.#unasked.delete(task.id)) this.#log.own(task.place, { type: 'task.queued', waitingFor: '' });
    if (this.#orders.send(task)) task.phase = 'sent';
  }

  /** Tasks that end together ask for it together: it is recorded once. */
  async #finishIfDone(): Promise<void> {
    if (!this.#tasks.haveEnded || this.log.isEnded) return;
    this.#finishing ??= this.#finish().catch((error: unknown) => {
      // Such as a log without room: whoever asks next tries again.
      this.#finishing = undefined;
      throw error;
    });
    await this.#finishing;
  }

  async #finish(): Promise<void> {
    this.#scheduler.close();
    const { ends } = this.#tasks;
    const outcome = runOutcome(
      ends,
      this.facts.command,
      this.#cancelledBy !== undefined || this.#wasCancelledThere(ends),
    );
    this.#auditHead = await this.#deps.records
      .finished(this.facts, outcome, this.stdin?.isEmpty)
      .catch((error: unknown) => this.#complain(error));
    const durationMs = this.#deps.clock() - this.facts.startedMs;
    this.#log.run({ type: 'run.finished', ...outcome, durationMs });
    this.log.end();
    this.#watchers.close();
    this.#finished.resolve();
  }

  /** Whoever asked for it on the host itself has cancelled it: nothing else failed. */
  #wasCancelledThere(ends: readonly TaskFinished[]): boolean {
    return (
      isOfHost(this.facts) && ends.every(({ state }) => ['cancelled', 'succeeded', 'skipped'].includes(state))
    );
  }

  #complain(error: unknown): undefined {
    this.#deps.logger.error(
      { err: error, run: this.facts.id },
      'something about a run could not be recorded',
    );
  }
}

function neverBack(host: string): string {
  return `host ${host} has not been back since the controller was restarted, and may have started the task before`;
}

/** The client's, if the command runs on one. */
function terminalOf({ command }: RunFacts, { args, terminal }: RunTerms): ClientTerminal | undefined {
  return takesTerminal(command, args) ? terminal : undefined;
}
