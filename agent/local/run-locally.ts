import { monotonicFactory } from 'ulid';
import { commandTraits } from '../../common/compose-command.ts';
import { KomposeError } from '../../common/errors.ts';
import { runOutcome } from '../../common/run-outcome.ts';
import type { RunFinished, RunStarted, TaskFinished, Target } from '../../common/task-event.ts';
import { takesTerminal } from '../../common/terminal-command.ts';
import { encodeRunEvent, wrapTaskEvent } from '../../proto/event-codec.ts';
import type { LocalRequest } from '../../proto/local-link.ts';
import { maskWords } from '../tasks/mask-words.ts';
import type { TaskHost } from '../tasks/prepare-task.ts';
import type { RunningTask, TaskRegistry } from '../tasks/task-registry.ts';
import type { TaskSpec } from '../tasks/task-spec.ts';
import type { TaskSpool } from '../tasks/task-spool.ts';
import { TaskStdin } from '../tasks/task-stdin.ts';
import { goThrough, type LocalTask } from './go-through.ts';
import type { LocalRun, LocalRuns } from './local-runs.ts';
import { findLocalTargets } from './local-targets.ts';
import { Onlooker } from './onlooker.ts';

export interface LocalHost {
  readonly taskHost: TaskHost;
  readonly tasks: TaskRegistry;
  readonly localRuns: LocalRuns;
}

/** Who asked over the socket. */
export interface LocalCaller {
  /** Takes the run's next event; resolves when there is room for more, rejects when the caller is gone. */
  send(event: Uint8Array): Promise<void>;
  /** From now on the caller's stdin goes there. */
  takeStdin(stdin: TaskStdin): void;
  /** Says that the caller is gone. */
  readonly gone: AbortSignal;
  /** The caller cancels. */
  readonly cancelled: AbortSignal;
}

const nextId = monotonicFactory();

/**
 * Runs what somebody asked for on this host itself, on this host's stacks, and sends its events to the caller, each
 * task's at the caller's own pace. A request from inside a hook is a child of that hook's task: it inherits the
 * parent's -e, --network, user and deadline, and ends with its caller; of a person's, what needs a watcher does.
 * Resolves when the run has ended. Throws KomposeError for what the user is to be told.
 */
export async function runLocally(
  request: LocalRequest,
  { taskHost, tasks, localRuns }: LocalHost,
  caller: LocalCaller,
): Promise<void> {
  const parent = parentOf(request, tasks);
  const targets = await findLocalTargets(request, taskHost, parent === undefined ? [] : busyStacks(parent));
  const order = inherit(request, parent);
  const record = await toRecord(order, parent, targets, taskHost);
  await localRuns.add(record);
  const run = new SocketRun(order, record, targets, tasks, caller);
  if (parent !== undefined) for (const { task } of targets) tasks.hold(task);
  try {
    await run.perform(targets.map((target) => toSpec(order, record.run, parent, target)));
  } finally {
    letGo(record, tasks, localRuns);
  }
}

/** Nobody will come back for the run. */
export function letGo({ run, targets }: LocalRun, tasks: TaskRegistry, localRuns: LocalRuns): void {
  for (const { task } of targets) tasks.release(task);
  localRuns.over(run);
}

function parentOf({ parentTask }: LocalRequest, tasks: TaskRegistry): RunningTask | undefined {
  if (parentTask === undefined) return undefined;
  const parent = tasks.running(parentTask);
  if (parent === undefined)
    throw new KomposeError('failed', 'the task whose hook called kompose.sh has ended');
  return parent;
}

function busyStacks({ spec }: RunningTask): string[] {
  return [...(spec.chain?.stacks ?? []), spec.stack];
}

function inherit(request: LocalRequest, parent: RunningTask | undefined): LocalRequest {
  if (parent === undefined) return request;
  const { env, network, user, secrets = [] } = parent.spec;
  return {
    ...request,
    env: { ...env, ...request.env },
    network: request.network ?? network,
    secrets: [...secrets, ...request.secrets],
    user,
    timeoutMs: deadline(request.timeoutMs, parent),
  };
}

/** The earlier of the order's own and what the parent has left. */
function deadline(ownMs: number, { spec, startedMs }: RunningTask): number {
  if (spec.timeoutMs === 0) return ownMs;
  const leftMs = Math.max(1, spec.timeoutMs - (Date.now() - startedMs));
  return ownMs === 0 ? leftMs : Math.min(ownMs, leftMs);
}

function toSpec(
  order: LocalRequest,
  run: string,
  parent: RunningTask | undefined,
  { task, stack }: Target,
): TaskSpec {
  const { command, args, env, network, timeoutMs, dryRun, raw, user, secrets } = order;
  const chain =
    parent === undefined
      ? {}
      : { chain: { root: parent.spec.chain?.root ?? parent.spec.run, stacks: busyStacks(parent) } };
  const named = network === undefined ? {} : { network };
  // Its stdin comes from the socket, not over the link to the controller.
  return {
    task,
    run,
    stack,
    command,
    args,
    env,
    timeoutMs,
    dryRun,
    raw,
    user,
    secrets,
    hasStdin: false,
    ...named,
    ...chain,
  };
}

async function toRecord(
  order: LocalRequest,
  parent: RunningTask | undefined,
  targets: readonly Target[],
  host: TaskHost,
): Promise<LocalRun> {
  return {
    run: nextId(),
    ...(parent === undefined ? {} : { parent: { run: parent.spec.run, task: parent.spec.task } }),
    user: order.user,
    pattern: order.pattern,
    command: order.command,
    args: await maskWords({ ...order, words: order.args, stacks: targets.map(({ stack }) => stack) }, host),
    envNames: Object.keys(order.env).toSorted(),
    dryRun: order.dryRun,
    raw: order.raw,
    startedMs: Date.now(),
    targets,
  };
}

/*
 * A run that was asked for over the socket, from `run.started` to `run.finished`.
 *
 * INVARIANTS
 * - Its tasks are the registry's: their events are kept and reported whatever becomes of the caller.
 * - The caller gets all of a task's events before the run's end.
 */
class SocketRun {
  readonly #order: LocalRequest;
  readonly #record: LocalRun;
  readonly #targets: readonly Target[];
  readonly #tasks: TaskRegistry;
  readonly #caller: LocalCaller;
  readonly #stop = new AbortController();
  #seq = 0;

  constructor(
    order: LocalRequest,
    record: LocalRun,
    targets: readonly Target[],
    tasks: TaskRegistry,
    caller: LocalCaller,
  ) {
    this.#order = order;
    this.#record = record;
    this.#targets = targets;
    this.#tasks = tasks;
    this.#caller = caller;
    for (const signal of this.#endsWithCaller ? [caller.gone, caller.cancelled] : [caller.cancelled]) {
      if (signal.aborted) this.#stop.abort();
      else signal.addEventListener('abort', () => this.#stop.abort(), { once: true });
    }
  }

  async perform(specs: readonly TaskSpec[]): Promise<void> {
    const { run, pattern, command, args, user, dryRun, startedMs } = this.#record;
    const facts = { run, targets: this.#targets, pattern, command, args, user, dryRun };
    await this.#tell({ type: 'run.started', ...facts });
    const tasks = specs.map((spec, at) => this.#taskOf(spec, this.#tasks.acceptLocal(spec), at + 1));
    const { reads } = commandTraits(command, args);
    const { signal: stop } = this.#stop;
    const ends = await goThrough(tasks, { rollout: this.#order.rollout, reads, stop });
    const outcome = runOutcome(ends, command, stop.aborted);
    await this.#tell({ type: 'run.finished', ...outcome, durationMs: Date.now() - startedMs });
  }

  get #endsWithCaller(): boolean {
    const { command, args, hasStdin } = this.#order;
    const { reads, endsWithWatcher, readsStdin } = commandTraits(command, args);
    return this.#record.parent !== undefined || reads || endsWithWatcher || (readsStdin && hasStdin);
  }

  /** It goes at its caller's pace where nothing waits for it. */
  get #isPaced(): boolean {
    const { reads, readsStdin } = commandTraits(this.#order.command, this.#order.args);
    return reads || (readsStdin && this.#targets.length === 1);
  }

  #taskOf(spec: TaskSpec, spool: TaskSpool, place: number): LocalTask {
    const onlooker = new Onlooker(spool, (timeMs, bytes) =>
      this.#caller.send(wrapTaskEvent(++this.#seq, place, timeMs, bytes)),
    );
    const seen = onlooker.look(this.#caller.gone);
    return {
      perform: async () => {
        const end = await this.#run(spec, onlooker);
        await seen;
        return end;
      },
      skip: async (reason) => {
        const end = this.#tasks.skip(spec.task, reason);
        await seen;
        return end;
      },
    };
  }

  async #run(spec: TaskSpec, onlooker: Onlooker): Promise<TaskFinished> {
    const finished = Promise.withResolvers<TaskFinished>();
    const { signal } = this.#stop;
    const cancel = (): void => this.#tasks.cancel(spec.task, this.#whyCancelled);
    signal.addEventListener('abort', cancel, { once: true });
    const stdin = this.#openStdin();
    this.#tasks.run(spec, {
      onEvent: (event) => {
        if (event.type === 'task.finished') finished.resolve(event);
      },
      pace: (event) => (this.#isPaced && event.type === 'output' ? onlooker.caughtUp(signal) : undefined),
      ...(stdin === undefined ? {} : { stdin }),
    });
    if (signal.aborted) cancel();
    try {
      return await finished.promise;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  get #whyCancelled(): string {
    return this.#caller.cancelled.aborted ? 'cancelled by its caller' : 'its caller went away';
  }

  #openStdin(): TaskStdin | undefined {
    const { command, args, hasStdin, dryRun, terminal } = this.#order;
    const isRead = commandTraits(command, args).readsStdin && this.#targets.length === 1;
    if (!hasStdin || !isRead || dryRun) return undefined;
    const stdin = new TaskStdin(takesTerminal(command, args) ? terminal : undefined);
    this.#caller.takeStdin(stdin);
    return stdin;
  }

  async #tell(event: RunStarted | RunFinished): Promise<void> {
    const sent = this.#caller.send(encodeRunEvent(++this.#seq, Date.now(), event));
    // Whoever is gone hears nothing.
    await sent.catch(() => undefined);
  }
}
