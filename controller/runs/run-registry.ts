import { mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import { monotonicFactory } from 'ulid';
import { commandTraits } from '../../common/compose-command.ts';
import { KomposeError } from '../../common/errors.ts';
import { EventLog } from '../../common/event-log.ts';
import type { Actor } from '../audit/audit.ts';
import type { AuditNotary } from '../audit/audit-notary.ts';
import type { Fleet, FleetListener } from '../fleet/fleet.ts';
import type { HostSession } from '../fleet/host-session.ts';
import { resolveTargets, type ResolvedTarget } from '../fleet/resolve-targets.ts';
import { findRole } from '../identity/directory.ts';
import type { Roles } from '../identity/roles.ts';
import type { RosterBook } from '../identity/roster-book.ts';
import type { Store } from '../store/store.ts';
import { Run } from './run.ts';
import { logPath } from './log-files.ts';
import { askKeptWords } from './kept-words.ts';
import type { RunFacts, TaskFacts } from './run-facts.ts';
import { RunRecords } from './run-records.ts';
import { keptTerms, newTerms, type RunTerms } from './run-terms.ts';
import { sealTasks } from './seal-tasks.ts';
import { isKeptWhole, keepRequest } from './kept-request.ts';
import { planRetry, retryRequest, type RetryOrder } from './retry.ts';
import { readsClientStdin } from '../../common/client-stdin.ts';
import type { RunRequest } from './run-request.ts';
import { checkSigned, type AskSignature } from './signed-run.ts';
import { checkRaw } from '../../common/raw-output.ts';
import { envNamesOf, findRequest, findRun, isOwnParent, tasksOfRun, unfinishedRuns } from './run-queries.ts';
import { RunPermissions } from './run-permissions.ts';
import { openEndedLog } from './ended-log.ts';
import { cancellationOf, endsOf, factsOf } from './run-of-row.ts';
import { isOfHost } from './watcher-needs.ts';
import type { RunRequestsTable, RunsTable, TasksTable } from '../store/schema.ts';

interface RegistryDeps {
  readonly store: Store;
  readonly notary: Pick<AuditNotary, 'seal'>;
  readonly fleet: Fleet;
  readonly roles: Roles;
  readonly roster: RosterBook;
  /** Private to this controller; holds one event log a run. */
  readonly runsFolder: string;
  readonly clock: () => number;
  readonly logger: Logger;
  /** How long a host may be away before its tasks are given up. */
  readonly lostAfterMs: number;
  /** Of each task's output. */
  readonly keptBytes: number;
}

/** Who asks for a run, and how to get their signature. */
export interface RunAsker {
  readonly actor: Actor;
  readonly clientAddress: string;
  readonly sign: AskSignature;
}

/** How long hosts have to look again for an unknown stack. */
const rescanTimeoutMs = 3_000;

/** A run that began on a host: chained by a hook, or typed there. */
export interface LocalRun {
  readonly id: string;
  readonly parent: { readonly run: string; readonly task: string } | undefined;
  readonly user: string;
  readonly pattern: string;
  readonly command: string;
  /** Masked. */
  readonly args: readonly string[];
  readonly envNames: readonly string[];
  readonly dryRun: boolean;
  readonly raw: boolean;
  readonly startedMs: number;
  readonly tasks: readonly { readonly id: string; readonly stack: string }[];
}

/** All runs that have not ended, and the logs of those that have. */
export class RunRegistry implements FleetListener {
  readonly #deps: RegistryDeps;
  readonly #records: RunRecords;
  readonly #permissions: RunPermissions;
  readonly #runs = new Map<string, Run>();
  readonly #runOfTask = new Map<string, Run>();
  readonly #lostTimers = new Map<string, NodeJS.Timeout>();
  readonly #nextId = monotonicFactory();
  #isPaused = false;
  #onEnded: (bytes: number) => void = () => undefined;

  /** Takes up what an earlier process left unfinished. */
  static async open(deps: RegistryDeps): Promise<RunRegistry> {
    mkdirSync(deps.runsFolder, { recursive: true, mode: 0o700 });
    const registry = new RunRegistry(deps);
    deps.fleet.listen(registry);
    for (const row of await unfinishedRuns(deps.store)) await registry.#resume(row);
    return registry;
  }

  private constructor(deps: RegistryDeps) {
    this.#deps = deps;
    this.#records = new RunRecords(deps.store, deps.notary, deps.clock);
    this.#permissions = new RunPermissions(deps);
  }

  /**
   * Resolves, checks, has it signed, records and starts a run; when it returns, the run and its audit record are durable
   * and the hosts are being asked. Throws `usage`, `not-found`, `denied`, `unavailable`, and what `sign` throws; nothing
   * has started then.
   */
  async start(request: RunRequest, asker: RunAsker): Promise<Run> {
    return this.#start(request, await this.resolve(request), asker, undefined);
  }

  /**
   * Starts a run that does again what an earlier one asked for, on its targets that did not succeed, by name: a host
   * that is away or gone by now ends unreachable. Throws what `start` and `planRetry` throw.
   */
  async retry(order: RetryOrder, asker: RunAsker): Promise<Run> {
    const plan = await planRetry(this.#deps.store, order.run, order.tasks);
    return this.#start(retryRequest(plan, order), plan.targets, asker, plan.run.id);
  }

  async #start(
    request: RunRequest,
    targets: readonly ResolvedTarget[],
    { actor, clientAddress, sign }: RunAsker,
    retryOf: string | undefined,
  ): Promise<Run> {
    this.#refuseWhilePaused();
    refuseAttachedToMany(request, targets);
    checkRaw(request, targets.length);
    const keptWord = await askKeptWords(request, targets, this.#deps.fleet);
    const id = this.#nextId();
    const ids = targets.map(({ host, stack }) => ({ task: this.#nextId(), host, stack }));
    const proposal = { run: id, targets: ids };
    const signature = await sign(proposal);
    this.#refuseWhilePaused();
    const signed = checkSigned(request, proposal, signature, actor.name, this.#deps.roster.current);
    const facts: RunFacts = {
      id,
      key: signed.fingerprint,
      pattern: request.pattern,
      filter: request.filter,
      command: request.command,
      args: request.args.map(keptWord),
      dryRun: request.dryRun,
      raw: request.raw,
      actor,
      clientAddress,
      startedMs: this.#deps.clock(),
    };
    const tasks = ids.map(({ task, host, stack }, at): TaskFacts => {
      return { id: task, place: at + 1, host, stack };
    });
    const envNames = Object.keys(request.env).toSorted();
    const hasStdin = readsClientStdin(request, tasks.length);
    const kept = keepRequest(request, keptWord, signed.values);
    // Whoever cannot have an argument whole cannot repeat the run, so that what was signed need not be kept either.
    const isWhole = request.args.every((word) => keptWord(word) === word);
    // What its client gives goes with this process in any case.
    const isKept = hasStdin || (isWhole && isKeptWhole(signed.order, kept));
    const sealed = isKept ? new Map<string, Uint8Array>() : await sealTasks(tasks, signed, this.#deps.fleet);
    const repeatable = { request: kept, hasStdin, retryOf, signed: isWhole ? signed : undefined, sealed };
    await this.#records.started(facts, tasks, envNames, repeatable);
    const role = await this.#permissions.roleNow(actor);
    const run = this.#keep(facts, tasks, newTerms({ ...request, signed }, tasks.length));
    const denied = new Map([...unsigned(tasks, signed.signatures), ...this.#permissions.judge(run, role)]);
    run.begin(denied).catch((error: unknown) => this.#complain(run, error));
    return run;
  }

  #refuseWhilePaused(): void {
    if (!this.#isPaused) return;
    const message = 'the controller is stopping and starts no run any more: try again when it is back';
    throw new KomposeError('controller-unreachable', message);
  }

  /**
   * Somebody has another role (none any more: an empty one), or roles allow something else than before. Of the runs
   * under way, tasks that are no longer allowed and have not started end denied, and those that live by their client
   * (reading commands, exec, run, attached ones) are cancelled; a change that is half done is let finish.
   */
  reconsider(changed?: { readonly user: string; readonly role: string }): void {
    for (const run of this.#runs.values()) {
      const denied = this.#permissions.judgeAnew(run, changed);
      if (denied === undefined) continue;
      run.deny(denied).catch((error: unknown) => this.#complain(run, error));
    }
  }

  /**
   * Takes in a run that began on a host; resolves when it is durable. One that is known already is left as it is. Throws
   * `protocol` for one that is said to be of a task of another host, another run or another user.
   */
  async adopt(local: LocalRun, host: string, clientAddress: string): Promise<void> {
    if (this.#runs.has(local.id) || (await findRun(this.#deps.store, local.id)) !== undefined) return;
    const { id, pattern, command, args, dryRun, raw, parent, startedMs } = local;
    if (parent !== undefined && !(await isOwnParent(this.#deps.store, { ...parent, host, user: local.user })))
      throw new KomposeError('protocol', `run ${id} is not of a hook of task ${parent.task} on ${host}`);
    const actor = { name: local.user, role: parent === undefined ? 'local' : 'hook', certificate: '' };
    const facts = { id, pattern, command, args, dryRun, raw, parent, actor, clientAddress, startedMs };
    const tasks = local.tasks.map((task, at): TaskFacts => ({ ...task, host, place: at + 1 }));
    await this.#records.started(facts, tasks, local.envNames);
    await this.#keep(facts, tasks, undefined).begin(new Map());
  }

  /** How many runs have not ended. */
  get liveCount(): number {
    return this.#runs.size;
  }

  /** A run that has not ended. */
  live(id: string): Run | undefined {
    return this.#runs.get(id);
  }

  /** The run that a task belongs to. Throws `not-found`. */
  ofTask(task: string): Run {
    const run = this.#runOfTask.get(task);
    if (run === undefined) throw new KomposeError('not-found', `there is no open task ${task}`);
    return run;
  }

  /** The event log of any run; the caller closes it unless the run is live. Throws `not-found` for one that was removed. */
  async openLog(id: string): Promise<EventLog> {
    const run = this.#runs.get(id);
    if (run !== undefined) return run.log;
    return openEndedLog(this.#logPath(id), await findRun(this.#deps.store, id));
  }

  /** For a controller that is about to end: no run begins any more, and of those that go on no task. */
  pause(): void {
    this.#isPaused = true;
    for (const run of this.#runs.values()) run.pause();
  }

  /** For a controller that ends: the runs go on without it. */
  close(): void {
    for (const timer of this.#lostTimers.values()) clearTimeout(timer);
    for (const run of this.#runs.values()) run.close();
  }

  hostOnline(session: HostSession, openTasks: ReadonlySet<string>): void {
    clearTimeout(this.#lostTimers.get(session.host));
    this.#lostTimers.delete(session.host);
    for (const run of this.#runs.values()) {
      run.hostOnline(session.host, openTasks).catch((error: unknown) => this.#complain(run, error));
    }
    for (const task of openTasks) {
      if (!this.#runOfTask.has(task)) session.cancelTask(task, 'the run has ended');
    }
  }

  hostOffline(host: string): void {
    clearTimeout(this.#lostTimers.get(host));
    const { lostAfterMs, fleet } = this.#deps;
    const isRemoved = fleet.get(host) === undefined;
    this.#lostTimers.set(host, setTimeout(() => this.#giveUp(host), isRemoved ? 0 : lostAfterMs).unref());
  }

  #giveUp(host: string): void {
    this.#lostTimers.delete(host);
    for (const run of this.#runs.values()) {
      run.hostLost(host).catch((error: unknown) => this.#complain(run, error));
    }
  }

  /** The targets of a pattern. Before it answers that nothing matches it has the hosts look again. */
  async resolve({ pattern, filter }: Pick<RunRequest, 'pattern' | 'filter'>): Promise<ResolvedTarget[]> {
    const { fleet } = this.#deps;
    try {
      return resolveTargets(pattern, filter, fleet.list());
    } catch (error) {
      if (KomposeError.from(error).code !== 'not-found') throw error;
    }
    await this.rescan();
    return resolveTargets(pattern, filter, fleet.list());
  }

  /** Has every connected host look at its stacks root again, and waits for the answers, but not for long. */
  async rescan(): Promise<void> {
    const sessions = this.#deps.fleet.list().map(({ session }) => session);
    const answers = sessions.map(async (session) => session?.rescan().catch(() => undefined));
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, rescanTimeoutMs);
    await Promise.race([Promise.all(answers), late.promise]);
    clearTimeout(timer);
  }

  #keep(facts: RunFacts, tasks: readonly TaskFacts[], terms: RunTerms | undefined): Run {
    const { fleet, clock, logger, keptBytes } = this.#deps;
    const log = EventLog.open(this.#logPath(facts.id));
    const run = new Run(facts, tasks, terms, {
      fleet,
      clock,
      logger,
      log,
      keptBytes,
      records: this.#records,
    });
    this.#runs.set(facts.id, run);
    for (const task of run.taskIds) this.#runOfTask.set(task, run);
    void run.finished.then(() => this.#forget(run));
    return run;
  }

  /** Hears of each run that ends from now on how many bytes its log has. */
  onEnded(listener: (bytes: number) => void): void {
    this.#onEnded = listener;
  }

  #forget(run: Run): void {
    this.#runs.delete(run.facts.id);
    this.#onEnded(run.log.size);
    for (const task of run.taskIds) this.#runOfTask.delete(task);
    run.log.close();
  }

  async #resume(row: RunsTable): Promise<void> {
    const { store } = this.#deps;
    const [tasks, request] = await Promise.all([tasksOfRun(store, row.id), findRequest(store, row.id)]);
    const terms = request === undefined ? undefined : keptTerms(row, request, tasks);
    const facts = factsOf(row, await envNamesOf(store, row.id));
    const run = this.#keep(facts, tasks, terms);
    const denied = isOfHost(facts) ? new Map<string, string>() : await this.#deniedAnew(run, tasks, request);
    await run.resume({ ends: endsOf(tasks), denied, cancelled: cancellationOf(row) });
    for (const host of run.hosts) if (!this.#lostTimers.has(host)) this.hostOffline(host);
  }

  /** What may not start of a run that is taken up: what its user did not sign, and what they may not do any more. */
  async #deniedAnew(
    run: Run,
    tasks: readonly TasksTable[],
    request: RunRequestsTable | undefined,
  ): Promise<Map<string, string>> {
    const role = await findRole(this.#deps.store, run.facts.actor.name);
    // Where an argument is secret, no signature is kept: what is not sealed cannot be started in any case.
    const areKept = request?.signed_order !== null;
    const signed = tasks.filter(({ signature }) => signature !== null || !areKept);
    const unsignedToo = unsigned(tasks, new Set(signed.map(({ id }) => id)));
    return new Map([...unsignedToo, ...this.#permissions.judge(run, role)]);
  }

  #logPath(id: string): string {
    return logPath(this.#deps.runsFolder, id);
  }

  #complain(run: Run, error: unknown): void {
    this.#deps.logger.error({ err: error, run: run.facts.id }, 'a run met a bug');
  }
}

/** Why those tasks may not start that the user has not signed. */
function unsigned(
  tasks: readonly TaskFacts[],
  signed: Pick<ReadonlySet<string>, 'has'>,
): [task: string, reason: string][] {
  const reason = 'its user did not sign it: it was not among the targets that they confirmed';
  return tasks.filter(({ id }) => !signed.has(id)).map(({ id }) => [id, reason]);
}

function refuseAttachedToMany(
  { command, args, pattern, dryRun }: RunRequest,
  targets: readonly ResolvedTarget[],
): void {
  if (targets.length < 2 || dryRun || !commandTraits(command, args).endsWithWatcher) return;
  const instead = command === 'up' ? `; give it -d: kompose ${JSON.stringify(pattern)} up -d` : '';
  const message = `${command} stays attached, so it takes one target, not ${targets.length}${instead}`;
  throw new KomposeError('usage', message);
}
