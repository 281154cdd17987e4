import { monotonicFactory } from 'ulid';
import { KomposeError } from '../../common/errors.ts';
import { nearest } from '../../common/nearest.ts';
import { matchPattern, parsePattern } from '../../common/patterns.ts';
import { Masker } from '../../common/redaction/masker.ts';
import { secretValues } from '../../common/redaction/secret-name.ts';
import type { TaskFinished, Target } from '../../common/task-event.ts';
import type { TaskHost } from '../tasks/prepare-task.ts';
import { discoverStacks } from '../stacks/discovery.ts';
import type { RunningTask, TaskRegistry } from '../tasks/task-registry.ts';
import type { TaskSpec } from '../tasks/task-spec.ts';
import { toFrames } from './event-frames.ts';
import type { Frame } from './frames.ts';
import { parseOrder, type LocalOrder, type LocalRequest } from './local-request.ts';
import type { LocalRuns } from './local-runs.ts';

export interface LocalHost {
  readonly taskHost: TaskHost;
  readonly tasks: TaskRegistry;
  readonly localRuns: LocalRuns;
}

const nextId = monotonicFactory();

/**
 * Runs what somebody asked for on this host itself, on this host's stacks, one by one, and tells `send` what it
 * prints. A request from inside a hook is a child of that hook's task: it inherits the parent's -e, --network, user
 * and deadline. Returns the exit code; throws KomposeError for what the user is to be told. When `signal` fires the
 * run is cancelled.
 */
export async function runLocally(
  request: LocalRequest,
  { taskHost, tasks, localRuns }: LocalHost,
  send: (frame: Frame) => void,
  signal: AbortSignal,
): Promise<number> {
  const order = parseOrder(request.words);
  const parent = parentOf(request, tasks);
  const targets = await findTargets(order, taskHost, parent);
  const specs = makeSpecs(order, request, parent, targets);
  await localRuns.add(toRecord(order, request, parent, specs, targets));
  for (const spec of specs) tasks.accept(spec);
  const ends: TaskFinished[] = [];
  for (const spec of specs) {
    if (signal.aborted) tasks.skip(spec.task, 'its caller went away');
    else ends.push(await runOne(spec, tasks, send, signal));
  }
  return exitCodeOf(ends, order, signal);
}

function parentOf({ parentTask }: LocalRequest, tasks: TaskRegistry): RunningTask | undefined {
  if (parentTask === undefined) return undefined;
  const parent = tasks.running(parentTask);
  if (parent === undefined)
    throw new KomposeError('failed', 'the task whose hook called kompose.sh has ended');
  return parent;
}

async function findTargets(
  order: LocalOrder,
  host: TaskHost,
  parent: RunningTask | undefined,
): Promise<Target[]> {
  const stacks = (await discoverStacks(host.root)).map(({ name }) => ({ host: host.name, stack: name }));
  const matched = matchPattern(parsePattern(order.pattern), stacks);
  if (matched.length === 0) {
    const near = nearest(
      order.pattern,
      stacks.map(({ stack }) => stack),
    );
    const hint = near.length === 0 ? '' : `; did you mean ${near.join(', ')}?`;
    throw new KomposeError('not-found', `no stack of this host matches ${order.pattern}${hint}`);
  }
  const busy = parent === undefined ? [] : [...(parent.spec.chain?.stacks ?? []), parent.spec.stack];
  const again = matched.find(({ stack }) => busy.includes(stack));
  if (again !== undefined) {
    const message = `refused: ${again.stack} is at work in this chain already (${[...busy, again.stack].join(' -> ')})`;
    throw new KomposeError('failed', message);
  }
  return matched.map(({ host: name, stack }) => ({ task: nextId(), host: name, stack }));
}

function makeSpecs(
  order: LocalOrder,
  request: LocalRequest,
  parent: RunningTask | undefined,
  targets: readonly Target[],
): TaskSpec[] {
  const run = nextId();
  const inherited = parent?.spec;
  const network = order.network ?? inherited?.network;
  const chain = parent === undefined ? undefined : chainOf(parent);
  return targets.map(({ task, stack }) => ({
    task,
    run,
    stack,
    command: order.command,
    args: order.args,
    env: { ...inherited?.env, ...order.env },
    timeoutMs: deadline(order.timeoutMs, parent),
    dryRun: order.dryRun,
    user: inherited?.user ?? request.user,
    hasStdin: false,
    ...(network === undefined ? {} : { network }),
    ...(chain === undefined ? {} : { chain }),
  }));
}

function chainOf({ spec }: RunningTask): NonNullable<TaskSpec['chain']> {
  return { root: spec.chain?.root ?? spec.run, stacks: [...(spec.chain?.stacks ?? []), spec.stack] };
}

/** The earlier of the order's own and what the parent has left. */
function deadline(ownMs: number, parent: RunningTask | undefined): number {
  const given = parent?.spec.timeoutMs ?? 0;
  if (parent === undefined || given === 0) return ownMs;
  const leftMs = Math.max(1, given - (Date.now() - parent.startedMs));
  return ownMs === 0 ? leftMs : Math.min(ownMs, leftMs);
}

function toRecord(
  order: LocalOrder,
  request: LocalRequest,
  parent: RunningTask | undefined,
  specs: readonly TaskSpec[],
  targets: readonly Target[],
) {
  const masker = new Masker(secretValues(specs[0]?.env ?? {}));
  return {
    run: specs[0]?.run ?? '',
    ...(parent === undefined ? {} : { parent: { run: parent.spec.run, task: parent.spec.task } }),
    user: parent?.spec.user ?? request.user,
    pattern: order.pattern,
    command: order.command,
    args: order.args.map((argument) => masker.maskText(argument)),
    envNames: Object.keys(specs[0]?.env ?? {}).toSorted(),
    dryRun: order.dryRun,
    startedMs: Date.now(),
    targets,
  };
}

async function runOne(
  spec: TaskSpec,
  tasks: TaskRegistry,
  send: (frame: Frame) => void,
  signal: AbortSignal,
): Promise<TaskFinished> {
  const finished = Promise.withResolvers<TaskFinished>();
  const cancel = (): void => tasks.cancel(spec.task, 'its caller went away');
  signal.addEventListener('abort', cancel, { once: true });
  tasks.run(spec, (event) => {
    for (const frame of toFrames(spec.stack, event)) send(frame);
    if (event.type === 'task.finished') finished.resolve(event);
  });
  if (signal.aborted) cancel();
  try {
    return await finished.promise;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

function exitCodeOf(ends: readonly TaskFinished[], { command }: LocalOrder, signal: AbortSignal): number {
  if (signal.aborted) return 130;
  const [end] = ends;
  const isOwn = ends.length === 1 && (command === 'exec' || command === 'run') && end?.actionDecided === true;
  if (isOwn) return end.exitCode ?? 1;
  return ends.every(({ state }) => state === 'succeeded' || state === 'skipped') ? 0 : 1;
}
