import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monotonicFactory } from 'ulid';
import { commandTraits } from '../common/compose-command.ts';
import { KomposeError } from '../common/errors.ts';
import { nearest } from '../common/nearest.ts';
import { hostFilter, matchPattern, parsePattern } from '../common/patterns.ts';
import { Masker } from '../common/redaction/masker.ts';
import { secretValues } from '../common/redaction/secret-name.ts';
import { runOutcome } from '../common/run-outcome.ts';
import type {
  RunEvent,
  RunFinished,
  RunStarted,
  Target,
  TaskEvent,
  TaskFinished,
} from '../common/task-event.ts';
import { keepKomposeScript, type Launcher } from './local/kompose-script.ts';
import { ComposeFinder } from './stacks/compose-tool.ts';
import { discoverStacks } from './stacks/discovery.ts';
import { HooksParser } from './stacks/hooks-file.ts';
import { chainEnv } from './local/embedded-chain.ts';
import { ChainWaits } from './tasks/chain-waits.ts';
import type { TaskHost } from './tasks/prepare-task.ts';
import { runTask } from './tasks/run-task.ts';
import { StopSignal } from './tasks/stop-signal.ts';
import type { Chain, TaskSpec } from './tasks/task-spec.ts';
import { TaskStdin } from './tasks/task-stdin.ts';

/** The machine that an embedded run is for. */
export interface EmbeddedHost {
  /** Absolute path of the stacks root. */
  readonly root: string;
  /** What targets call it. */
  readonly name: string;
  /** The caller's whole environment: the lowest layer. */
  readonly env: Readonly<Record<string, string>>;
}

export interface EmbeddedOrder {
  readonly pattern: string;
  readonly hosts: readonly string[];
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
  readonly timeoutMs: number;
  readonly dryRun: boolean;
  readonly user: string;
  /** For the action of `exec` and `run` on one target. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
  /** The chain that this run belongs to, where a hook of another embedded run began it. */
  readonly chain: Chain | undefined;
}

const nextId = monotonicFactory();

/**
 * Runs a command on this machine's own stacks in this process: the same plan, hooks and events as through a
 * controller, one stack by one in name order (reading commands on all at once). `onEvent` gets the run's events in
 * order; it may hold the run up. When `stop` fires the run is cancelled. Throws `usage` and `not-found`.
 */
export async function runEmbedded(
  order: EmbeddedOrder,
  host: EmbeddedHost,
  onEvent: (event: RunEvent) => void | Promise<void>,
  stop: AbortSignal,
): Promise<void> {
  const targets = await findTargets(order, host);
  const run = new EmbeddedRun(order, await toTaskHost(host), targets, onEvent, stop);
  await run.perform();
}

async function findTargets(order: EmbeddedOrder, { root, name }: EmbeddedHost): Promise<Target[]> {
  const stacks = (await discoverStacks(root)).map(({ name: stack }) => ({ host: name, stack }));
  const isChosen = hostFilter(order.hosts)(name);
  const matched = isChosen ? matchPattern(parsePattern(order.pattern), stacks) : [];
  if (matched.length === 0) {
    const near = nearest(
      order.pattern,
      stacks.map(({ stack }) => stack),
    );
    const hint = near.length === 0 ? '' : `; did you mean ${near.join(', ')}?`;
    throw new KomposeError('not-found', `nothing matches ${order.pattern} in ${root}${hint}`);
  }
  const busy = order.chain?.stacks ?? [];
  const again = matched.find(({ stack }) => busy.includes(stack));
  if (again !== undefined) {
    const way = [...busy, again.stack].join(' -> ');
    throw new KomposeError('failed', `refused: ${again.stack} is at work in this chain already (${way})`);
  }
  if (matched.length > 1 && !order.dryRun && commandTraits(order.command, order.args).endsWithWatcher) {
    const message = `${order.command} stays attached, so it takes one target, not ${matched.length}`;
    throw new KomposeError('usage', order.command === 'up' ? `${message}; give it -d` : message);
  }
  return matched.map((target) => ({ ...target, task: nextId() }));
}

async function toTaskHost({ root, name, env }: EmbeddedHost): Promise<TaskHost> {
  const hooksParser = new HooksParser(env, (await stat(root)).uid);
  const compose = new ComposeFinder(env);
  return { root, name, agentEnv: env, hooksParser, compose, waits: new ChainWaits(), chainEnv };
}

/** One run in this process, from `run.started` to `run.finished`. */
class EmbeddedRun {
  readonly #id = nextId();
  readonly #order: EmbeddedOrder;
  readonly #host: TaskHost;
  readonly #targets: readonly Target[];
  readonly #onEvent: (event: RunEvent) => void | Promise<void>;
  readonly #stop: AbortSignal;
  #seq = 0;

  constructor(
    order: EmbeddedOrder,
    host: TaskHost,
    targets: readonly Target[],
    onEvent: (event: RunEvent) => void | Promise<void>,
    stop: AbortSignal,
  ) {
    this.#order = order;
    this.#host = host;
    this.#targets = targets;
    this.#onEvent = onEvent;
    this.#stop = stop;
  }

  async perform(): Promise<void> {
    const startedMs = Date.now();
    const { pattern, command, args, user, dryRun, env } = this.#order;
    const masker = new Masker(secretValues(env));
    const shown = args.map((argument) => masker.maskText(argument));
    const targets = this.#targets;
    await this.#tell({
      type: 'run.started',
      run: this.#id,
      targets,
      pattern,
      command,
      args: shown,
      user,
      dryRun,
    });
    const ends = commandTraits(command, args).reads
      ? await Promise.all(targets.map((target, at) => this.#perform(target, at + 1)))
      : await this.#oneByOne();
    const outcome = runOutcome(ends, command, this.#stop.aborted);
    await this.#tell({ type: 'run.finished', ...outcome, durationMs: Date.now() - startedMs });
  }

  async #oneByOne(): Promise<TaskFinished[]> {
    const ends: TaskFinished[] = [];
    for (const [at, target] of this.#targets.entries()) ends.push(await this.#perform(target, at + 1));
    return ends;
  }

  async #perform(target: Target, place: number): Promise<TaskFinished> {
    const folder = await mkdtemp(join(tmpdir(), 'kompose-task-'));
    const stop = new StopSignal();
    const cancel = (): void => stop.stop({ state: 'cancelled', reason: 'cancelled by the user' });
    this.#stop.addEventListener('abort', cancel, { once: true });
    if (this.#stop.aborted) cancel();
    let taskSeq = 0;
    let end: TaskFinished | undefined;
    const sink = (event: TaskEvent): void | Promise<void> => {
      taskSeq++;
      if (event.type === 'task.finished') end = event;
      return this.#onEvent({ seq: ++this.#seq, task: place, taskSeq, timeMs: Date.now(), event });
    };
    try {
      const spec = this.#spec(target);
      const now = (): number => performance.now();
      await runTask({ spec, host: this.#host, workFolder: folder, sink, stop, stdin: this.#stdin(), now });
    } finally {
      this.#stop.removeEventListener('abort', cancel);
      await rm(folder, { recursive: true, force: true });
    }
    if (end === undefined) throw new Error('a task ended without its last event');
    return end;
  }

  #spec({ task, stack }: Target): TaskSpec {
    const { command, args, env, network, timeoutMs, dryRun, user, stdin, chain } = this.#order;
    const hasStdin = stdin !== undefined;
    const named = network === undefined ? {} : { network };
    const chained = chain === undefined ? {} : { chain };
    const order = { command, args, env, timeoutMs, dryRun, user, hasStdin };
    return { task, run: this.#id, stack, ...order, ...named, ...chained };
  }

  #stdin(): TaskStdin | undefined {
    const source = this.#targets.length === 1 ? this.#order.stdin : undefined;
    if (source === undefined) return undefined;
    const stdin = new TaskStdin();
    void feed(source, stdin).catch(() => undefined);
    return stdin;
  }

  #tell(event: RunStarted | RunFinished): void | Promise<void> {
    return this.#onEvent({ seq: ++this.#seq, task: 0, timeMs: Date.now(), event });
  }
}

/** Piece by piece, the next when the last was taken. */
async function feed(source: AsyncIterable<Uint8Array>, stdin: TaskStdin): Promise<void> {
  let sent = 0;
  let taken = Promise.withResolvers<void>();
  stdin.reportTo((bytes) => {
    if (bytes >= sent) taken.resolve();
  });
  for await (const data of source) {
    taken = Promise.withResolvers();
    const offset = sent;
    sent += data.length;
    stdin.receive({ offset, data, isEnd: false });
    await taken.promise;
  }
  stdin.receive({ offset: sent, data: new Uint8Array(), isEnd: true });
}

/** The stacks of a root; none if there is no such folder. */
export async function stacksOf(root: string): Promise<string[]> {
  return discoverStacks(root).then(
    (stacks) => stacks.map(({ name }) => name),
    () => [],
  );
}

/** Keeps `kompose.sh` in a root that hooks of embedded runs call; a root that we may not write to does without. */
export async function offerLocalScript(root: string, launcher: Launcher): Promise<void> {
  await keepKomposeScript(root, launcher, undefined).catch(() => false);
}
