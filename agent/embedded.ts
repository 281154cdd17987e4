import { rmSync } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monotonicFactory } from 'ulid';
import type { ClientTerminal, TerminalSize } from '../common/client-terminal.ts';
import { commandTraits } from '../common/compose-command.ts';
import { KomposeError } from '../common/errors.ts';
import type { HostOrder } from '../common/host-order.ts';
import type { StackStatus, StackSummary } from '../common/inventory.ts';
import { secretValues } from '../common/redaction/secret-name.ts';
import { runOutcome } from '../common/run-outcome.ts';
import { StdinPump } from '../common/stdin-pump.ts';
import type {
  RunEvent,
  RunFinished,
  RunStarted,
  Target,
  TaskEvent,
  TaskFinished,
} from '../common/task-event.ts';
import { chainEnv, embeddedParent } from './local/embedded-chain.ts';
import { goThrough, type LocalTask } from './local/go-through.ts';
import { keepKomposeScript, type Launcher } from './local/kompose-script.ts';
import { endLeftBehindVerb, type WatchedRun } from './local/left-behind.ts';
import { findLocalTargets } from './local/local-targets.ts';
import { loadPolicyFor } from './policy.ts';
import { startWatchdog, type Watchdog } from './process/watchdog.ts';
import { ComposeFinder } from './stacks/compose-tool.ts';
import { discoverStacks } from './stacks/discovery.ts';
import { allowedAgentEnv } from './stacks/env-layers.ts';
import { HooksParser } from './stacks/hooks-file.ts';
import { takeInventory } from './stacks/inventory.ts';
import { ServiceNames } from './stacks/service-names.ts';
import { askStatus } from './stacks/status.ts';
import { maskWords } from './tasks/mask-words.ts';
import type { TaskHost } from './tasks/prepare-task.ts';
import { runTask } from './tasks/run-task.ts';
import { killStepsOf, ofNoTask } from './tasks/execute.ts';
import { StopSignal } from './tasks/stop-signal.ts';
import type { Chain, TaskSpec } from './tasks/task-spec.ts';
import { TaskStdin } from './tasks/task-stdin.ts';

/** The machine that an embedded run is for. */
export interface EmbeddedHost {
  /** Absolute path of the stacks root. */
  readonly root: string;
  /** What targets call it. */
  readonly name: string;
  /** The lowest layer of a step's environment: the caller's own, whole. */
  readonly env: Readonly<Record<string, string>>;
  /** This program, called again as the agent's part of it. */
  readonly launcher: Launcher;
  /** Where the state of this user's agent is, if they have one: its policy holds for its stacks root. */
  readonly agentFolder: string;
}

export interface EmbeddedOrder extends HostOrder {
  readonly user: string;
  /** The chain that this run belongs to, where a hook of another embedded run began it. */
  readonly chain: Chain | undefined;
  /** As in `TaskSpec`. */
  readonly secrets?: readonly string[];
}

/** Who asked, and looks on. */
export interface EmbeddedCaller {
  /** Gets the run's events in order; it may hold the run up. */
  readonly onEvent: (event: RunEvent) => void | Promise<void>;
  /** Cancels the run. */
  readonly stop: AbortSignal;
  /** Ends at once whatever still runs of it, without any grace. */
  readonly kill: AbortSignal;
  /** For the action of `exec` and `run` on one target. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
  /** Where that stdin is typed, and who hears of its sizes. */
  readonly terminal: ClientTerminal | undefined;
  readonly onResize: (listener: (size: TerminalSize) => void) => void;
}

const nextId = monotonicFactory();

/**
 * Runs a command on this machine's own stacks in this process: the same plan, hooks and events as through a
 * controller, one stack by one in name order (reading commands on all at once). Throws `usage` and `not-found`.
 */
export async function runEmbedded(
  order: EmbeddedOrder,
  host: EmbeddedHost,
  caller: EmbeddedCaller,
): Promise<void> {
  const targets = await findLocalTargets(order, host, order.chain?.stacks ?? []);
  const run = nextId();
  const place = { run, folder: join(tmpdir(), `kompose-run-${run}`) };
  const watchdog = order.dryRun ? undefined : await watch(order, host, place.folder, targets);
  const watched = watchdog === undefined ? {} : { watchdog: watchdog.identity };
  try {
    await mkdir(place.folder, { mode: 0o700 });
    const taskHost = { ...(await toTaskHost(host)), ...watched };
    await new EmbeddedRun(place, order, taskHost, targets, caller).perform();
  } finally {
    await rm(place.folder, { recursive: true, force: true });
    await watchdog?.dismiss();
  }
}

/**
 * What a command inherits that a hook of an embedded run began, by `env` of its process: the run's -e, --network, user
 * and deadline, and of its environment no more than the allow-list. Undefined outside of such a hook.
 */
export function asChained(
  order: EmbeddedOrder,
  host: EmbeddedHost,
): { order: EmbeddedOrder; host: EmbeddedHost } | undefined {
  const parent = embeddedParent(host.env);
  if (parent === undefined) return undefined;
  const leftMs = parent.deadlineMs === undefined ? 0 : Math.max(1, parent.deadlineMs - Date.now());
  const timeoutMs = Math.min(leftMs || Infinity, order.timeoutMs || Infinity);
  const inherited = {
    env: { ...parent.env, ...order.env },
    network: order.network ?? parent.network,
    user: parent.user,
    chain: parent,
    timeoutMs: timeoutMs === Infinity ? 0 : timeoutMs,
    secrets: secretValues(host.env),
  };
  return { order: { ...order, ...inherited }, host: { ...host, env: allowedAgentEnv(host.env) } };
}

/** Steps live in sessions of their own, so they would go on if this process were killed. */
function watch(
  { command, env, network }: EmbeddedOrder,
  { root, env: callersEnv, launcher }: EmbeddedHost,
  folder: string,
  targets: readonly Target[],
): Promise<Watchdog | undefined> {
  const tasks = targets.map(({ task, stack }) => ({ task, stack }));
  const run: WatchedRun = { root, folder, command, env, network, tasks };
  const about = JSON.stringify(run);
  return startWatchdog([...launcher, endLeftBehindVerb], { about, env: ofNoTask(callersEnv) });
}

async function toTaskHost({ root, name, env, agentFolder }: EmbeddedHost): Promise<TaskHost> {
  const policy = await loadPolicyFor(agentFolder, root);
  const hooksParser = new HooksParser(env, (await stat(root)).uid);
  const compose = new ComposeFinder(env);
  const services = new ServiceNames();
  return { root, name, agentEnv: env, hooksParser, services, compose, chainEnv, policy };
}

interface RunPlace {
  readonly run: string;
  /** Private to the run. */
  readonly folder: string;
}

/*
 * One run in this process, from `run.started` to `run.finished`.
 *
 * INVARIANTS
 * - A task's steps are processes of sessions of their own: only we end them, so this process must not end before them.
 *   If it is killed, its watchdog does.
 * - A task's folder is gone when the task has ended, also when `kill` fired.
 */
class EmbeddedRun {
  readonly #place: RunPlace;
  readonly #order: EmbeddedOrder;
  readonly #host: TaskHost;
  readonly #targets: readonly Target[];
  readonly #caller: EmbeddedCaller;
  readonly #stdin: TaskStdin | undefined;
  #seq = 0;

  constructor(
    place: RunPlace,
    order: EmbeddedOrder,
    host: TaskHost,
    targets: readonly Target[],
    caller: EmbeddedCaller,
  ) {
    this.#place = place;
    this.#order = order;
    this.#host = host;
    this.#targets = targets;
    this.#caller = caller;
    if (targets.length === 1 && !order.dryRun) this.#stdin = openStdin(caller);
  }

  async perform(): Promise<void> {
    const startedMs = Date.now();
    const { pattern, command, args, user, dryRun, env, network, secrets = [], rollout } = this.#order;
    const { stop } = this.#caller;
    const stacks = this.#targets.map(({ stack }) => stack);
    const shown = await maskWords({ words: args, stacks, env, network, secrets }, this.#host);
    const started = {
      run: this.#place.run,
      targets: this.#targets,
      pattern,
      command,
      args: shown,
      user,
      dryRun,
    };
    await this.#tell({ type: 'run.started', ...started });
    const { reads } = commandTraits(command, args);
    const tasks = this.#targets.map((target, at) => this.#taskOf(target, at + 1));
    const ends = await goThrough(tasks, { rollout, reads, stop });
    const outcome = runOutcome(ends, command, stop.aborted);
    await this.#tell({ type: 'run.finished', ...outcome, durationMs: Date.now() - startedMs });
  }

  #taskOf(target: Target, place: number): LocalTask {
    return {
      perform: () => this.#perform(target, place),
      skip: async (reason) => {
        const end = { type: 'task.finished', state: 'cancelled', reason, durationMs: 0 } as const;
        const event: TaskFinished = { ...end, actionDecided: false };
        await this.#tellOf(place, 1, event);
        return event;
      },
    };
  }

  async #perform(target: Target, place: number): Promise<TaskFinished> {
    const workFolder = join(this.#place.folder, target.task);
    await mkdir(workFolder, { mode: 0o700 });
    const stop = new StopSignal();
    const cancel = (): void => stop.stop({ state: 'cancelled', reason: 'cancelled by the user' });
    const kill = (): void => {
      void killStepsOf(target.task, () => end !== undefined);
      rmSync(workFolder, { recursive: true, force: true });
    };
    let taskSeq = 0;
    let end: TaskFinished | undefined;
    const sink = (event: TaskEvent): void | Promise<void> => {
      if (event.type === 'task.finished') end = event;
      return this.#tellOf(place, ++taskSeq, event);
    };
    const { signal: over, abort } = controllerOf();
    onAbort(this.#caller.stop, cancel, over);
    onAbort(this.#caller.kill, kill, over);
    try {
      const now = (): number => performance.now();
      const spec = this.#spec(target);
      await runTask({ spec, host: this.#host, workFolder, sink, stop, stdin: this.#stdin, now });
    } finally {
      abort();
      await rm(workFolder, { recursive: true, force: true });
    }
    if (end === undefined) throw new Error('a task ended without its last event');
    return end;
  }

  #spec({ task, stack }: Target): TaskSpec {
    const { command, args, env, network, timeoutMs, dryRun, raw, user, chain, secrets = [] } = this.#order;
    const named = network === undefined ? {} : { network };
    const chained = chain === undefined ? {} : { chain };
    const order = {
      command,
      args,
      env,
      timeoutMs,
      dryRun,
      raw,
      user,
      secrets,
      hasStdin: this.#stdin !== undefined,
    };
    return { task, run: this.#place.run, stack, ...order, ...named, ...chained };
  }

  #tell(event: RunStarted | RunFinished): void | Promise<void> {
    return this.#caller.onEvent({ seq: ++this.#seq, task: 0, timeMs: Date.now(), event });
  }

  #tellOf(task: number, taskSeq: number, event: TaskEvent): void | Promise<void> {
    return this.#caller.onEvent({ seq: ++this.#seq, task, taskSeq, timeMs: Date.now(), event });
  }
}

function controllerOf(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}

/** Calls `act` when `signal` fires, at once if it has, and not any more when `over` has fired. */
function onAbort(signal: AbortSignal, act: () => void, over: AbortSignal): void {
  if (signal.aborted) act();
  else signal.addEventListener('abort', act, { once: true, signal: over });
}

/** The caller's, as far ahead of the action as a window. */
function openStdin({ stdin: source, terminal, onResize }: EmbeddedCaller): TaskStdin | undefined {
  if (source === undefined) return undefined;
  const stdin = new TaskStdin(terminal);
  const pump = new StdinPump(source);
  let offset = 0;
  const give = (data: Uint8Array, isEnd: boolean): void => {
    stdin.receive({ offset, data, isEnd });
    offset += data.length;
  };
  stdin.reportTo((taken) => pump.progress(taken, give));
  onResize((size) => stdin.resize(size));
  return stdin;
}

/** The stacks of a root; none if there is no such folder. */
export async function stacksOf(root: string): Promise<string[]> {
  return discoverStacks(root).then(
    (stacks) => stacks.map(({ name }) => name),
    () => [],
  );
}

/** What a root holds, and what of it is up; without the latter where the engine does not answer, and why. */
export async function lookAround(
  root: string,
  env: Readonly<Record<string, string>>,
): Promise<{ stacks: StackSummary[]; status: StackStatus[]; problem: string }> {
  const hooksParser = new HooksParser(env, (await stat(root)).uid);
  const asked = askStatus(root, env).then(
    (status) => ({ status, problem: '' }),
    (error: unknown) => ({ status: [], problem: KomposeError.from(error).message }),
  );
  return { stacks: await takeInventory(root, hooksParser, new ServiceNames()), ...(await asked) };
}

/** Keeps `kompose.sh` in a root that hooks of embedded runs call; a root that we may not write to does without. */
export async function offerLocalScript(root: string, launcher: Launcher): Promise<void> {
  await keepKomposeScript(root, launcher, undefined).catch(() => false);
}
