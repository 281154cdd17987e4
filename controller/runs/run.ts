import type { Logger } from 'pino';
import type { ClientTerminal } from '../../common/client-terminal.ts';
import { commandTraits, type CommandTraits } from '../../common/compose-command.ts';
import { KomposeError } from '../../common/errors.ts';
import { takesTerminal } from '../../common/terminal-command.ts';
import type { EventLog } from '../../common/event-log.ts';
import type { NumberedTaskEvent, RunEvent, TaskFinished, TaskState } from '../../common/task-event.ts';
import { decodeRunEvent, decodeTaskEvent } from '../../proto/event-codec.ts';
import type { Actor } from '../audit/audit.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { OutputPolicy } from '../fleet/host-session.ts';
import { allAtOnce } from '../../common/rollout.ts';
import { outputPolicy } from './output-policy.ts';
import { RunLog } from './run-log.ts';
import { Scheduler } from './scheduler.ts';
import { StdinRelay } from './stdin-relay.ts';
import { runOutcome } from '../../common/run-outcome.ts';
import type { RunFacts, RunRecords, TaskFacts } from './run-records.ts';
import { readsClientStdin, type RunRequest } from './run-request.ts';
import { checkOrder, newTask, replay, type TaskProgress } from './task-progress.ts';
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

/*
 * One run from its start to its end.
 *
 * INVARIANTS
 * - Every task ends in exactly one state: who sets its phase to `ended` writes its end. The run ends right after
 *   its last task.
 * - What the audit must hold is durable before the event log shows it, and the log holds an event before the agent
 *   hears that it may forget it.
 * - On one host the tasks of a changing command run one by one in the order of the targets.
 * - All events enter the log through this class, in order, each agent event once: `lastSeq` decides.
 */
export class Run {
  readonly facts: RunFacts;
  readonly #request: RunRequest | undefined;
  readonly #deps: RunDeps;
  readonly #traits: CommandTraits;
  readonly #tasks: ReadonlyMap<string, TaskProgress>;
  readonly #byHost: ReadonlyMap<string, readonly TaskProgress[]>;
  /** Of the client, where the one target's action reads it. */
  readonly stdin: StdinRelay | undefined;
  readonly #finished = Promise.withResolvers<void>();
  readonly #scheduler: Scheduler<TaskProgress>;
  #unended: number;
  #cancelledBy: Actor | undefined;
  readonly #log: RunLog;
  readonly #watchers: Watchers;
  readonly #output: OutputPolicy;

  /** `request` is absent for a run that an earlier process of the controller began. */
  constructor(facts: RunFacts, tasks: readonly TaskFacts[], request: RunRequest | undefined, deps: RunDeps) {
    this.facts = facts;
    this.#request = request;
    this.#deps = deps;
    this.#traits = commandTraits(facts.command, facts.args);
    const progress = tasks.map(newTask);
    this.#tasks = new Map(progress.map((task) => [task.id, task]));
    this.#byHost = Map.groupBy(progress, ({ host }) => host);
    this.#unended = progress.length;
    if (request !== undefined && readsClientStdin(request, progress.length))
      this.stdin = new StdinRelay(terminalOf(request));
    this.#output = outputPolicy(facts, tasks.length, request, deps.keptBytes);
    const { keptBytes, windowBytes } = this.#output;
    const { command, raw: isRaw = false } = facts;
    this.#log = new RunLog(deps.log, deps.clock, { keptBytes, command, isRaw });
    const onUnwatched = (): void => this.#unwatched();
    this.#watchers = new Watchers({ setPace: windowBytes > 0 && !isOfHost(facts), onUnwatched });
    this.#scheduler = new Scheduler({
      tasksByHost: this.#byHost,
      rollout: request?.rollout ?? allAtOnce,
      offline: request?.offline ?? { kind: 'fail' },
      reads: this.#traits.reads,
      isOnline: (host) => deps.fleet.get(host)?.session !== undefined,
      start: (task) => this.#send(task),
      end: (task, state, reason) => this.#endTask(task, state, reason),
      wait: (task, waitingFor) => this.#tellWaiting(task, waitingFor),
      whyOffline: (host) => this.#offline(host),
      changed: () => void this.#finishIfDone().catch((error: unknown) => this.#complain(error)),
      failed: (error) => this.#complain(error),
    });
  }

  get log(): EventLog {
    return this.#deps.log;
  }

  /** Resolves when the run has ended and its log is complete. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  get taskIds(): readonly string[] {
    return [...this.#tasks.keys()];
  }

  get hosts(): readonly string[] {
    return [...this.#byHost.keys()];
  }

  /** What was asked for, as rights are checked: with the arguments as they are, not as they are shown. */
  get asked(): { command: string; args: readonly string[]; envNames: readonly string[] } {
    const { command, args, env } = this.#request ?? { ...this.facts, env: {} };
    return { command, args, envNames: Object.keys(env).toSorted() };
  }

  get unended(): readonly TaskFacts[] {
    return [...this.#tasks.values()].filter(({ phase }) => phase !== 'ended');
  }

  /** These tasks are not allowed any more: ends them, but for a change that is under way. */
  async deny(reasons: ReadonlyMap<string, string>): Promise<void> {
    const denied = this.unended
      .flatMap(({ id }) => this.#tasks.get(id) ?? [])
      .filter(({ id }) => reasons.has(id));
    for (const task of denied) {
      const reason = reasons.get(task.id) ?? '';
      if (task.phase === 'queued') await this.#endTask(task, 'denied', reason);
      else if (this.#livesByItsClient) await this.#cancelTask(task, reason);
    }
    if (denied.length > 0) await this.#advance(this.hosts);
  }

  /** Writes the run's first event, ends what may not run (with its reason), and asks the hosts for the rest. */
  async begin(denied: ReadonlyMap<string, string>): Promise<void> {
    const { id, pattern, command, args, actor, dryRun } = this.facts;
    const tasks = [...this.#tasks.values()];
    const targets = tasks.map(({ id: task, host, stack }) => ({ task, host, stack }));
    const started = { run: id, targets, pattern, command, args, user: actor.name, dryRun };
    this.#log.run({ type: 'run.started', ...started });
    this.#watchers.expect();
    const refused = tasks.filter((task) => denied.has(task.id));
    await Promise.all(refused.map((task) => this.#endTask(task, 'denied', denied.get(task.id) ?? '')));
    await this.#advance(this.hosts);
  }

  /** Takes up a run of an earlier process: what its log holds is where it stands. */
  async resume(): Promise<void> {
    for await (const records of this.log.snapshot()) {
      for (const { bytes } of records) this.#replay(decodeRunEvent(bytes));
    }
    await this.#finishIfDone();
    // Whoever watched has to come back, as after a lost link.
    this.#watchers.expect();
  }

  /** The task's newest event in the log, from which the agent goes on; of an ended task there is nothing to come. */
  lastSeq(taskId: string): number {
    const task = this.#task(taskId);
    return task.phase === 'ended' ? Number.MAX_SAFE_INTEGER : task.lastSeq;
  }

  /** Throws `not-found`. */
  hostOf(taskId: string): string {
    return this.#task(taskId).host;
  }

  /** Takes an agent's events in order; resolves when they are in the log. Throws `protocol` for a hole. */
  take(taskId: string, events: readonly Uint8Array[], agentVersion: string): Promise<void> {
    const task = this.#task(taskId);
    // An agent that lost its link may report anew while its old stream still delivers: one batch at a time.
    const taken = task.taking.then(() => this.#takeAll(task, events, agentVersion));
    task.taking = taken.catch(() => undefined);
    return taken;
  }

  async #takeAll(task: TaskProgress, events: readonly Uint8Array[], agentVersion: string): Promise<void> {
    for (const bytes of events) {
      const numbered = decodeTaskEvent(bytes);
      if (numbered.seq <= task.lastSeq || task.phase === 'ended') continue;
      checkOrder(task, numbered);
      await this.#takeEvent(task, numbered, bytes, agentVersion);
    }
  }

  /** An agent could not accept a task. */
  async refuse(taskId: string, reason: string): Promise<void> {
    const task = this.#task(taskId);
    await this.#endTask(task, 'failed', `the agent refused the task: ${reason}`);
    await this.#advance([task.host]);
  }

  /** Somebody ends the run. */
  async cancel(actor: Actor, clientAddress: string, reason: string): Promise<void> {
    if (this.#unended === 0) return;
    this.#cancelledBy ??= actor;
    await this.#deps.records.cancelled(this.facts, actor, clientAddress, reason);
    await Promise.all([...this.#tasks.values()].map((task) => this.#cancelTask(task, reason)));
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

  /** The controller ends; the run may go on without it. */
  close(): void {
    this.#watchers.close();
  }

  /** A host of this run is linked (again); `openTasks` are those that its agent has. */
  async hostOnline(host: string, openTasks: ReadonlySet<string>): Promise<void> {
    for (const task of this.#byHost.get(host) ?? []) {
      if (openTasks.has(task.id)) {
        if (task.phase === 'ended' || this.#cancelledBy !== undefined)
          this.#sendCancel(task, 'the run was cancelled');
        else if (task.phase === 'queued') task.phase = 'sent';
      } else {
        await this.#missing(task);
      }
    }
    await this.#advance([host]);
  }

  /** A host of this run is away for so long that its tasks are given up. */
  async hostLost(host: string): Promise<void> {
    for (const task of this.#byHost.get(host) ?? []) {
      if (task.phase === 'queued') await this.#endTask(task, 'unreachable', this.#offline(host));
      else await this.#endTask(task, 'lost', `host ${host} went away while the task ran`);
    }
    await this.#advance([host]);
  }

  get #needsWatcher(): boolean {
    return endsUnwatched(this.facts, this.#request) && this.#unended > 0;
  }

  #unwatched(): void {
    if (this.#needsWatcher) this.abandon('nobody watches any more');
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

  #task(taskId: string): TaskProgress {
    const task = this.#tasks.get(taskId);
    if (task === undefined) throw new KomposeError('not-found', `there is no task ${taskId}`);
    return task;
  }

  /** The agent is back and does not have the task. */
  async #missing(task: TaskProgress): Promise<void> {
    if (task.phase === 'sent') this.#send(task);
    else if (task.phase === 'running') {
      await this.#endTask(
        task,
        'lost',
        `the agent of ${task.host} has lost the task; its output shows how far it came`,
      );
    } else if (task.phase === 'queued' && this.#request === undefined) {
      await this.#endTask(task, 'cancelled', 'the controller was restarted before this task was started');
    }
  }

  async #takeEvent(
    task: TaskProgress,
    numbered: NumberedTaskEvent,
    bytes: Uint8Array,
    agentVersion: string,
  ): Promise<void> {
    const { seq, event } = numbered;
    if (task.phase !== 'running') {
      task.phase = 'running';
      await this.#deps.records.taskStarted(task);
    }
    if (event.type === 'step.finished') {
      await this.#deps.records.stepFinished(this.facts, task, task.steps + 1, event, agentVersion);
      task.steps++;
    }
    if (event.type === 'task.finished') {
      await this.#end(task, event, () => this.#log.task(task.place, numbered, bytes));
      await this.#advance([task.host]);
      return;
    }
    if (this.#tasks.get(task.id)?.phase === 'ended') return;
    this.#log.task(task.place, numbered, bytes);
    task.lastSeq = seq;
  }

  #replay(runEvent: RunEvent): void {
    if (!('taskSeq' in runEvent)) return;
    this.#log.replay(runEvent);
    const task = [...this.#tasks.values()][runEvent.task - 1];
    if (task === undefined) return;
    replay(task, runEvent.taskSeq, runEvent.event);
    if (task.phase === 'ended') this.#unended--;
  }

  async #cancelTask(task: TaskProgress, reason: string): Promise<void> {
    if (task.phase === 'queued') {
      await this.#endTask(task, 'cancelled', reason);
    } else if (this.#deps.fleet.get(task.host)?.session === undefined) {
      const message = `host ${task.host} is away: its task may go on until it is back and hears of the cancel`;
      await this.#endTask(task, 'lost', message);
    } else if (task.phase !== 'ended') {
      this.#sendCancel(task, reason);
    }
  }

  #sendCancel(task: TaskProgress, reason: string): void {
    this.#deps.fleet.get(task.host)?.session?.cancelTask(task.id, reason);
  }

  /** Asks for the tasks whose turn it is, now that something changed on these hosts; the run ends with its last. */
  async #advance(changed: readonly string[]): Promise<void> {
    // What an earlier process did not start cannot be started: its -e values went with it.
    if (this.#request !== undefined) await this.#scheduler.advance(changed);
    await this.#finishIfDone();
  }

  #tellWaiting(task: TaskProgress, waitingFor: string): void {
    this.#log.own(task.place, { type: 'task.queued', waitingFor });
  }

  #send(task: TaskProgress): void {
    const session = this.#deps.fleet.get(task.host)?.session;
    if (session === undefined || this.#request === undefined) return;
    task.phase = 'sent';
    const { args, env, network, timeoutMs } = this.#request;
    const { id: run, command, dryRun, actor } = this.facts;
    const order = { task: task.id, run, stack: task.stack, command, args, env, network, timeoutMs, dryRun };
    session.startTask({
      ...order,
      user: actor.name,
      hasStdin: this.stdin !== undefined,
      terminal: this.stdin?.terminal,
      raw: this.facts.raw === true,
      output: this.#output,
    });
  }

  /** Ends a task of which the agent has not told the end. */
  #endTask(task: TaskProgress, state: TaskState, reason: string): Promise<void> {
    const end = { type: 'task.finished', state, reason, durationMs: 0, actionDecided: false } as const;
    return this.#end(task, end, () => this.#log.own(task.place, end));
  }

  /** The only way for a task to end; the second of two ends is dropped. */
  async #end(task: TaskProgress, end: TaskFinished, write: () => void): Promise<void> {
    if (task.phase === 'ended') return;
    task.phase = 'ended';
    await this.#deps.records
      .taskFinished(this.facts, task, end, this.#deps.fleet.get(task.host)?.agentVersion ?? '')
      .catch((error: unknown) => this.#complain(error));
    this.#log.tellUnkept(task.place);
    write();
    task.end = end;
    this.#unended--;
  }

  async #finishIfDone(): Promise<void> {
    if (this.#unended > 0 || this.log.isEnded) return;
    this.#scheduler.close();
    const ends = [...this.#tasks.values()].map(({ end }) => end).filter((end) => end !== undefined);
    const outcome = runOutcome(
      ends,
      this.facts.command,
      this.#cancelledBy !== undefined || this.#wasCancelledThere(ends),
    );
    await this.#deps.records
      .finished(this.facts, outcome, this.stdin?.isEmpty)
      .catch((error: unknown) => this.#complain(error));
    if (this.log.isEnded) return;
    const durationMs = this.#deps.clock() - this.facts.startedMs;
    this.#log.run({ type: 'run.finished', ...outcome, durationMs });
    this.log.end();
    this.#watchers.close();
    this.#finished.resolve();
  }

  /** Whoever asked for it on the host itself has cancelled it: nothing else failed. */
  #wasCancelledThere(ends: readonly TaskFinished[]): boolean {
    const isLocal = this.facts.actor.role === 'local' || this.facts.actor.role === 'hook';
    return isLocal && ends.every(({ state }) => ['cancelled', 'succeeded', 'skipped'].includes(state));
  }

  #offline(host: string): string {
    const lastSeenMs = this.#deps.fleet.get(host)?.lastSeenMs;
    const seen = lastSeenMs === undefined ? 'never seen' : `last seen ${new Date(lastSeenMs).toISOString()}`;
    return `host ${host} is offline (${seen}); its task was not started`;
  }

  #complain(error: unknown): void {
    this.#deps.logger.error(
      { err: error, run: this.facts.id },
      'something about a run could not be recorded',
    );
  }
}

/** The client's, if the command runs on one. */
function terminalOf({ command, args, terminal }: RunRequest): ClientTerminal | undefined {
  return takesTerminal(command, args) ? terminal : undefined;
}
