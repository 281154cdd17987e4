import type { ServerDuplexStream } from '@grpc/grpc-js';
import { checkTerminalSize } from '../../common/client-terminal.ts';
import { KomposeError } from '../../common/errors.ts';
import type { LogRecord } from '../../common/log-tail.ts';
import type { RunEvent } from '../../proto/gen/kompose/v1/event.ts';
import type {
  FleetServer,
  Run as WireRun,
  RunRequest as WireRunRequest,
  StartRunInput,
} from '../../proto/gen/kompose/v1/fleet.ts';
import { decodeLogged, joinEvents, sizeAsLogged } from '../../proto/passing-fleet.ts';
import type { Actor } from '../audit/audit.ts';
import { keptValues } from '../runs/kept-request.ts';
import { planRetry } from '../runs/retry.ts';
import type { RunAsker } from '../runs/run-registry.ts';
import { completeRunId, findRun, listRuns, stepsOfRun } from '../runs/run-queries.ts';
import type { Run } from '../runs/run.ts';
import { AwaitedSignature } from './awaited-signature.ts';
import { checkEnv, checkedRequest } from './checked-request.ts';
import type { FleetContext } from './fleet-context.ts';
import { cancelSignal } from './handlers.ts';
import { NewestWriter } from './newest-writer.ts';
import { PacedWriter } from './paced-writer.ts';
import { clientAddress } from './peer.ts';
import { toWireRun, toWireTask } from './wire-rows.ts';

type RunCall = ServerDuplexStream<StartRunInput, RunEvent>;
type RunMethods = 'startRun' | 'watchRun' | 'planRetry' | 'cancelRun' | 'listRuns' | 'getRun';

/** The calls about runs. */
export function runCalls(context: FleetContext): Pick<FleetServer, RunMethods> {
  const { store, runs, handlers, watches, views, callers, notary } = context;

  /** The end of a run goes out with a head that stands over all of it. */
  async function withHead(event: RunEvent, live: Run | undefined): Promise<RunEvent> {
    if (event.kind?.$case !== 'finished') return event;
    const auditHead = live?.auditHead ?? (await notary.head().catch(() => undefined));
    return { ...event, auditHead };
  }

  async function* follow(
    user: Actor,
    id: string,
    { isStarter, afterSeq }: { isStarter: boolean; afterSeq: number },
    callSignal: AbortSignal,
  ): AsyncGenerator<RunEvent> {
    const view = await views.open(user, id);
    using watch = watches.open(user, view.isAllowed);
    const signal = AbortSignal.any([callSignal, watch.signal]);
    const live = runs.live(id);
    // A client that has some of the events comes back to the run, most likely its own.
    const watcher = live?.watch(isStarter || (afterSeq > 0 && live.facts.actor.name === user.name), afterSeq);
    const log = await runs.openLog(id);
    try {
      for await (const records of log.read(afterSeq, signal)) {
        for (const some of inMessages(records)) {
          const events = [];
          for (const { bytes, isFleeting } of some) {
            const isShown = !isFleeting || live?.showsUnkept(user.name) === true;
            const event = isShown ? view.show(decodeLogged(bytes)) : undefined;
            if (event !== undefined) events.push(await withHead(event, live));
          }
          const [first, ...others] = events;
          if (first !== undefined) yield joinEvents([first, ...others]);
          watcher?.at(some.at(-1)?.seq ?? 0);
        }
      }
    } finally {
      watcher?.close();
      if (live === undefined) log.close();
    }
  }

  async function start(wire: WireRunRequest, asker: RunAsker): Promise<Run> {
    const { retryOf, env, detach } = wire;
    if (retryOf === undefined) return runs.start(checkedRequest(wire), asker);
    checkEnv(env);
    const run = await completeRunId(store, retryOf);
    const { tasks } = await views.open(asker.actor, run);
    return runs.retry({ run, tasks, env, detach }, asker);
  }

  async function serveRun(call: RunCall, signal: AbortSignal): Promise<void> {
    const actor = await callers.user(call);
    const started = Promise.withResolvers<string>();
    const signature = new AwaitedSignature((proposal) => void call.write(proposal));
    const asker = { actor, clientAddress: clientAddress(call), sign: signature.ask };
    let begun: Promise<void> | undefined;
    const begin = async (wire: WireRunRequest): Promise<void> => {
      const run = await start(wire, asker);
      started.resolve(run.facts.id);
      feedStdin(run, call, signal);
    };
    const cancel = async (): Promise<void> => {
      const run = runs.live(await started.promise);
      await run?.cancel(actor, clientAddress(call), `cancelled by ${actor.name}`);
    };
    const read = async (): Promise<void> => {
      for await (const { kind } of handlers.incoming<StartRunInput>(call)) {
        if (kind?.$case === 'request') {
          if (begun !== undefined) throw new KomposeError('protocol', 'one call starts one run');
          begun = begin(kind.value);
          begun.catch(started.reject);
        } else if (kind?.$case === 'signed') {
          signature.take(kind.value);
        } else if (kind?.$case === 'cancel') {
          // The signature may still be to come.
          cancel().catch((error: unknown) => call.emit('error', handlers.status(error)));
        } else if (kind?.$case === 'stdin') {
          runs.live(await started.promise)?.stdin?.write(kind.value);
        } else if (kind?.$case === 'resize') {
          runs.live(await started.promise)?.stdin?.resize(checkTerminalSize(kind.value));
        } else {
          throw new KomposeError(
            'unsupported',
            'the client sent a message of an unknown kind: upgrade the controller',
          );
        }
      }
    };
    const reading = read();
    // The end of the client's side is no error; one before the request, or its signature, is.
    reading.then(() => {
      signature.giveUp('the client is gone, or did not sign the run');
      if (begun === undefined) started.reject(new KomposeError('protocol', 'no run was asked for'));
    }, started.reject);
    const id = await started.promise;
    reading.catch((error: unknown) => call.emit('error', handlers.status(error)));
    const writer = new PacedWriter<RunEvent>(call, sizeOfEvent, signal);
    for await (const event of follow(actor, id, { isStarter: true, afterSeq: 0 }, signal))
      await writer.write(event);
  }

  return {
    startRun: (call) => {
      const signal = cancelSignal(call);
      handlers.finish(call, signal, serveRun(call, signal));
    },
    watchRun: handlers.stream(async function* (call, signal) {
      const user = await callers.user(call);
      const id = await completeRunId(store, call.request.runId);
      yield* follow(user, id, { isStarter: false, afterSeq: call.request.afterSeq }, signal);
    }, sizeOfEvent),
    planRetry: handlers.unary(async (call) => {
      const user = await callers.user(call);
      const id = await completeRunId(store, call.request.runId);
      const { tasks } = await views.open(user, id);
      const { run, targets, args, kept, order } = await planRetry(store, id, tasks);
      const { id: runId, command, dry_run: dryRun } = run;
      const rest = { command, args: [...args], dryRun: dryRun !== 0, secretNames: [...kept.secretNames] };
      const { env, network } = keptValues(kept);
      const wireTargets = targets.map(({ task: taskId, ...target }) => ({ ...target, taskId }));
      return { runId, targets: wireTargets, ...rest, order, env: [...env], network };
    }),
    cancelRun: handlers.unary(async (call) => {
      const actor = await callers.user(call);
      const id = await completeRunId(store, call.request.runId);
      const run = runs.live(id);
      if (actor.role !== 'admin' && run?.facts.actor.name !== actor.name)
        await callers.admin(call, 'cancelling a run of others');
      await run?.cancel(actor, clientAddress(call), `cancelled by ${actor.name}`);
      return { cancelled: run !== undefined };
    }),
    listRuns: handlers.stream(async function* (call) {
      const user = await callers.user(call);
      let left = call.request.limit === 0 ? Number.POSITIVE_INFINITY : call.request.limit;
      for await (const row of listRuns(store, 0)) {
        if (left < 1) return;
        if (!(await views.shows(user, row))) continue;
        yield toWireRun(row);
        left--;
      }
    }, sizeOfRun),
    getRun: handlers.unary(async (call) => {
      const user = await callers.user(call);
      const id = await completeRunId(store, call.request.runId);
      const { tasks } = await views.open(user, id);
      const [run, steps] = await Promise.all([findRun(store, id), stepsOfRun(store, id)]);
      if (run === undefined) throw new KomposeError('not-found', `there is no run ${id}`);
      const stepsOf = Map.groupBy(steps, ({ task_id }) => task_id);
      return {
        run: toWireRun(run),
        tasks: tasks.map((task) => toWireTask(task, stepsOf.get(task.id) ?? [])),
      };
    }),
  };
}

const usualBytes = 256;

function sizeOfEvent(event: RunEvent): number {
  const { kind } = event;
  return usualBytes + (sizeAsLogged(event) ?? (kind?.$case === 'taskEvent' ? kind.value.length : 0));
}

/** What one message holds, unless a single event is more: as much as may be on its way to a client. */
const joinedBytes = 128 * 1024;

/** Records in order, in groups that each become a message: each costs, here and at the client, more than an event. */
function* inMessages(records: readonly LogRecord[]): Generator<readonly LogRecord[]> {
  let some: LogRecord[] = [];
  let size = 0;
  for (const record of records) {
    size += record.bytes.length;
    if (some.length > 0 && size > joinedBytes) {
      yield some;
      some = [];
      size = record.bytes.length;
    }
    some.push(record);
  }
  if (some.length > 0) yield some;
}

function sizeOfRun({ args, pattern }: WireRun): number {
  return args.reduce((sum, word) => sum + word.length, usualBytes + pattern.length);
}

/** Tells the client how far its stdin is; a run whose stdin breaks off with its client cannot go on. */
function feedStdin(run: Run, call: RunCall, signal: AbortSignal): void {
  const { stdin } = run;
  if (stdin === undefined) return;
  const newest = new NewestWriter<RunEvent>(call);
  stdin.reportTo((taken, key) => {
    if (signal.aborted) return;
    const kind = { $case: 'stdinProgress', value: { taken, key } } as const;
    newest.write({ seq: 0, task: 0, timeUnixMs: 0, kind, auditHead: undefined, more: [] });
  });
  signal.addEventListener('abort', () => {
    if (stdin.terminal !== undefined) run.abandon('the terminal that it ran on is gone');
    else if (!stdin.isEnded) run.abandon('its client went away before the end of its stdin');
  });
}
