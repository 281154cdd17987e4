import { rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClientTerminal, TerminalSize } from '../../common/client-terminal.ts';
import { commandTraits } from '../../common/compose-command.ts';
import type { HostOrder } from '../../common/host-order.ts';
import { runOutcome } from '../../common/run-outcome.ts';
import { StdinPump } from '../../common/stdin-pump.ts';
import type {
  RunEvent,
  RunFinished,
  RunStarted,
  Target,
  TaskEvent,
  TaskFinished,
} from '../../common/task-event.ts';
import { killStepsOf } from '../tasks/execute.ts';
import { maskWords } from '../tasks/mask-words.ts';
import type { TaskHost } from '../tasks/prepare-task.ts';
import { runTask } from '../tasks/run-task.ts';
import { StopSignal } from '../tasks/stop-signal.ts';
import type { Chain, TaskSpec } from '../tasks/task-spec.ts';
import { TaskStdin } from '../tasks/task-stdin.ts';
import { goThrough, type LocalTask } from './go-through.ts';

/*
 * One run in this process, from `run.started` to `run.finished`.
 *
 * INVARIANTS
 * - A task's steps are processes of sessions of their own: only we end them, so this process must not end before them.
 *   If it is killed, its watchdog does.
 * - A task's folder is gone when the task has ended, also when `kill` fired.
 */
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

export interface RunPlace {
  readonly run: string;
  /** Private to the run. */
  readonly folder: string;
}

export class EmbeddedRun {
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
