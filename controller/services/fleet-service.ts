import type { ServerDuplexStream } from '@grpc/grpc-js';
import { checkTerminal, checkTerminalSize } from '../../common/client-terminal.ts';
import { isDatabaseCommand, parseDatabaseCommand } from '../../common/database-command.ts';
import { KomposeError } from '../../common/errors.ts';
import {
  checkCommand,
  checkEnvAssignment,
  checkLabelKey,
  checkLabelValue,
  checkUserName,
} from '../../common/names.ts';
import { version } from '../../common/version.ts';
import { formatToken } from '../../proto/enrolment-token.ts';
import { RunEvent } from '../../proto/gen/kompose/v1/event.ts';
import type {
  FleetServer,
  RunRequest as WireRunRequest,
  StartRunInput,
} from '../../proto/gen/kompose/v1/fleet.ts';
import { send } from '../../proto/streams.ts';
import { findAudit, listAudit, record, type Actor } from '../audit/audit.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { findHostRow, findUser } from '../identity/directory.ts';
import { createToken, listTokens, revokeToken } from '../identity/tokens.ts';
import type { Run } from '../runs/run.ts';
import type { RunRegistry } from '../runs/run-registry.ts';
import type { OfflinePolicy } from '../runs/rollout.ts';
import { planRetry } from '../runs/retry.ts';
import type { RunRequest } from '../runs/run-request.ts';
import { completeRunId, findRun, listRuns, stepsOfRun, tasksOfRun } from '../runs/run-queries.ts';
import type { Store } from '../store/store.ts';
import { cancelSignal, incoming, type Handlers } from './handlers.ts';
import { listStacks } from './list-stacks.ts';
import { clientAddress, requirePeer, requireProtocol } from './peer.ts';
import { UserWatches } from './user-watches.ts';
import { toWireHost, toWireRun, toWireTask } from './wire-rows.ts';

export interface FleetServiceDeps {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly runs: RunRegistry;
  readonly handlers: Handlers;
  readonly clock: () => number;
  /** What tokens carry. */
  readonly addresses: readonly string[];
  readonly caFingerprint: string;
}

type Call = Parameters<typeof requirePeer>[0];
type RunCall = ServerDuplexStream<StartRunInput, RunEvent>;

/** The users' calls; see fleet.proto. */
export function fleetService(deps: FleetServiceDeps): FleetServer {
  const { store, fleet, runs, handlers, clock } = deps;
  const watches = new UserWatches();

  async function userOf(call: Call): Promise<Actor> {
    requireProtocol(call);
    return findUser(store, requirePeer(call, 'user'));
  }

  async function adminOf(call: Call, what: string): Promise<Actor> {
    const actor = await userOf(call);
    if (actor.role === 'admin') return actor;
    const reason = `${what} needs the role admin; yours is ${actor.role}`;
    const entry = { type: 'request.denied', actor, clientAddress: clientAddress(call), reason } as const;
    await store.write((transaction) => record(transaction, clock(), entry));
    throw new KomposeError('denied', reason);
  }

  async function* follow(
    user: string,
    id: string,
    afterSeq: number,
    callSignal: AbortSignal,
  ): AsyncGenerator<RunEvent> {
    using watch = watches.open(user);
    const signal = AbortSignal.any([callSignal, watch.signal]);
    const live = runs.live(id);
    const release = live?.watch();
    const log = await runs.openLog(id);
    try {
      for await (const records of log.read(afterSeq, signal)) {
        for (const { bytes } of records) yield RunEvent.decode(bytes);
      }
    } finally {
      release?.();
      if (live === undefined) log.close();
    }
  }

  async function start(wire: WireRunRequest, actor: Actor, address: string): Promise<Run> {
    const { retryOf, env, detach } = wire;
    if (retryOf === undefined) return runs.start(checkedRequest(wire), actor, address);
    checkEnv(env);
    return runs.retry({ run: await completeRunId(store, retryOf), env, detach }, actor, address);
  }

  async function serveRun(call: RunCall, signal: AbortSignal): Promise<void> {
    const actor = await userOf(call);
    const started = Promise.withResolvers<string>();
    const read = async (): Promise<void> => {
      for await (const { kind } of incoming<StartRunInput>(call)) {
        if (kind?.$case === 'request') {
          const run = await start(kind.value, actor, clientAddress(call));
          started.resolve(run.facts.id);
          feedStdin(run, call, signal);
        } else if (kind?.$case === 'cancel') {
          const run = runs.live(await started.promise);
          await run?.cancel(actor, clientAddress(call), `cancelled by ${actor.name}`);
        } else if (kind?.$case === 'stdin') {
          runs.live(await started.promise)?.stdin?.write(kind.value.data, kind.value.isEnd);
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
    // The end of the client's side is no error; one before the request is.
    reading.then(() => started.reject(new KomposeError('protocol', 'no run was asked for')), started.reject);
    const id = await started.promise;
    reading.catch((error: unknown) => call.emit('error', handlers.status(error)));
    for await (const event of follow(actor.name, id, 0, signal)) await send(call, event, signal);
  }

  return {
    startRun: (call) => {
      const signal = cancelSignal(call);
      handlers.finish(call, signal, serveRun(call, signal));
    },
    watchRun: handlers.stream(async function* (call, signal) {
      const { name } = await userOf(call);
      const id = await completeRunId(store, call.request.runId);
      yield* follow(name, id, call.request.afterSeq, signal);
    }),
    planRetry: handlers.unary(async (call) => {
      await userOf(call);
      const { run, targets, args, kept } = await planRetry(
        store,
        await completeRunId(store, call.request.runId),
      );
      const { id: runId, command, dry_run: dryRun } = run;
      const rest = { command, args: [...args], dryRun: dryRun !== 0, secretNames: [...kept.secretNames] };
      return { runId, targets: [...targets], ...rest };
    }),
    cancelRun: handlers.unary(async (call) => {
      const actor = await userOf(call);
      const id = await completeRunId(store, call.request.runId);
      const run = runs.live(id);
      if (actor.role !== 'admin' && run?.facts.actor.name !== actor.name)
        await adminOf(call, 'cancelling a run of others');
      await run?.cancel(actor, clientAddress(call), `cancelled by ${actor.name}`);
      return { cancelled: run !== undefined };
    }),
    listHosts: handlers.stream(async function* (call) {
      await userOf(call);
      for (const host of fleet.list()) yield toWireHost(host);
    }),
    listStacks: handlers.stream(async function* (call) {
      await userOf(call);
      const { pattern, filter, withServices } = call.request;
      yield* await listStacks(fleet, runs, { pattern, filter: filter ?? noFilter, withServices });
    }),
    listRuns: handlers.stream(async function* (call) {
      await userOf(call);
      for await (const row of listRuns(store, call.request.limit)) yield toWireRun(row);
    }),
    getRun: handlers.unary(async (call) => {
      await userOf(call);
      const id = await completeRunId(store, call.request.runId);
      const run = await findRun(store, id);
      if (run === undefined) throw new KomposeError('not-found', `there is no run ${id}`);
      const [tasks, steps] = await Promise.all([tasksOfRun(store, id), stepsOfRun(store, id)]);
      const stepsOf = Map.groupBy(steps, ({ task_id }) => task_id);
      return {
        run: toWireRun(run),
        tasks: tasks.map((task) => toWireTask(task, stepsOf.get(task.id) ?? [])),
      };
    }),
    listAudit: handlers.stream(async function* (call) {
      await adminOf(call, 'the audit');
      yield* listAudit(store, call.request.limit);
    }),
    getAudit: handlers.unary(async (call) => {
      await adminOf(call, 'the audit');
      return findAudit(store, call.request.seq);
    }),
    labelHost: handlers.unary(async (call) => {
      const actor = await adminOf(call, 'labelling a host');
      const { name, labels, remove } = call.request;
      const row = await findHostRow(store, name);
      const merged = { ...(JSON.parse(row.labels) as Record<string, string>), ...checkedLabels(labels) };
      for (const key of remove) delete merged[key];
      await store.write(async (transaction) => {
        await transaction
          .updateTable('hosts')
          .set({ labels: JSON.stringify(merged) })
          .where('name', '=', name)
          .execute();
        const entry = { type: 'host.labelled', actor, host: name, detail: { labels: merged } } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
      fleet.relabel(name, merged);
      const host = fleet.get(name);
      if (host === undefined) throw new KomposeError('not-found', `there is no host ${name}: kompose hosts`);
      return toWireHost(host);
    }),
    removeHost: handlers.unary(async (call) => {
      const actor = await adminOf(call, 'removing a host');
      const { name } = call.request;
      await findHostRow(store, name);
      await store.write(async (transaction) => {
        await transaction.deleteFrom('hosts').where('name', '=', name).execute();
        const entry = {
          type: 'host.removed',
          actor,
          host: name,
          clientAddress: clientAddress(call),
        } as const;
        await record(transaction, clock(), entry);
      });
      fleet.remove(name);
      return {};
    }),
    createToken: handlers.unary(async (call) => {
      const actor = await adminOf(call, 'making tokens');
      const { role, labels, ttlMs, uses } = call.request;
      const name = call.request.name === '' ? '' : checkUserName(call.request.name);
      const request = { role, name, labels: checkedLabels(labels), ttlMs, uses, createdBy: actor.name };
      const { id, secret } = await store.write(async (transaction) => {
        const made = await createToken(transaction, request, clock());
        const detail = { token: made.id, role, name, labels, uses: uses || 1 };
        const entry = { type: 'token.created', actor, clientAddress: clientAddress(call), detail } as const;
        await record(transaction, clock(), entry);
        return made;
      });
      const { addresses, caFingerprint } = deps;
      return { id, name, token: formatToken({ addresses, caFingerprint, secret }) };
    }),
    listTokens: handlers.stream(async function* (call) {
      await adminOf(call, 'listing tokens');
      for (const token of await listTokens(store, clock())) {
        const {
          id,
          role,
          name,
          uses_left: usesLeft,
          expires_at: expiresUnixMs,
          created_by: createdBy,
        } = token;
        const labels = JSON.parse(token.labels) as Record<string, string>;
        yield { id, role, name, labels, usesLeft, expiresUnixMs, createdBy };
      }
    }),
    revokeToken: handlers.unary(async (call) => {
      const actor = await adminOf(call, 'revoking tokens');
      await store.write(async (transaction) => {
        await revokeToken(transaction, call.request.id);
        const entry = { type: 'token.revoked', actor, detail: { token: call.request.id } } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
      return {};
    }),
    listUsers: handlers.stream(async function* (call) {
      await adminOf(call, 'listing users');
      for (const user of await store.db.selectFrom('users').selectAll().orderBy('name').execute()) {
        const {
          name,
          role,
          created_at: createdUnixMs,
          certificate_not_after: certificateNotAfterUnixMs,
        } = user;
        yield { name, role, createdUnixMs, certificateNotAfterUnixMs };
      }
    }),
    removeUser: handlers.unary(async (call) => {
      const actor = await adminOf(call, 'removing users');
      const { name } = call.request;
      await store.write(async (transaction) => {
        const { numDeletedRows } = await transaction
          .deleteFrom('users')
          .where('name', '=', name)
          .executeTakeFirst();
        if (numDeletedRows === 0n)
          throw new KomposeError('not-found', `there is no user ${name}: kompose users`);
        const admin = await transaction
          .selectFrom('users')
          .select('name')
          .where('role', '=', 'admin')
          .executeTakeFirst();
        if (admin === undefined) throw new KomposeError('conflict', `${name} is the last admin and stays`);
        const entry = { type: 'user.removed', actor, detail: { user: name } } as const;
        await record(transaction, clock(), { ...entry, clientAddress: clientAddress(call) });
      });
      watches.end(name);
      return {};
    }),
    whoAmI: handlers.unary(async (call) => {
      const { name, role } = await userOf(call);
      const user = await store.db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst();
      const certificateNotAfterUnixMs = user?.certificate_not_after ?? 0;
      return { name, role, certificateNotAfterUnixMs, controllerVersion: version };
    }),
  };
}

/** Tells the client how far its stdin is; a run whose stdin breaks off with its client cannot go on. */
function feedStdin(run: Run, call: RunCall, signal: AbortSignal): void {
  const { stdin } = run;
  if (stdin === undefined) return;
  stdin.reportTo((taken) => {
    if (signal.aborted) return;
    const kind = { $case: 'stdinProgress', value: { taken } } as const;
    call.write({ seq: 0, task: 0, timeUnixMs: 0, kind });
  });
  signal.addEventListener('abort', () => {
    if (stdin.terminal !== undefined) run.abandon('the terminal that it ran on is gone');
    else if (!stdin.isEnded) run.abandon('its client went away before the end of its stdin');
  });
}

const noFilter = { hosts: [], labels: [] };

function checkedLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels).map(([key, value]) => [checkLabelKey(key), checkLabelValue(value)]),
  );
}

/** What comes over the wire is checked here, whoever sent it. Throws `usage`. */
function checkedRequest(wire: WireRunRequest): RunRequest {
  const { pattern, command, args, filter, network, dryRun, timeoutMs, detach, hasStdin, terminal } = wire;
  checkCommand(command);
  if (isDatabaseCommand(command)) parseDatabaseCommand(command, args);
  checkEnv(wire.env);
  const texts = [...args, ...Object.values(wire.env), ...(network === undefined ? [] : [network])];
  if (texts.some((text) => text.includes('\0'))) {
    throw new KomposeError('usage', 'an argument, a variable or the network holds a NUL byte');
  }
  return {
    pattern,
    command,
    args,
    filter: filter ?? noFilter,
    env: wire.env,
    network,
    timeoutMs,
    dryRun,
    detach,
    hasStdin,
    terminal: terminal === undefined ? undefined : checkTerminal(terminal),
    ...checkedRollout(wire),
  };
}

function checkEnv(env: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(env)) checkEnvAssignment(`${name}=${value}`);
}

function checkedRollout({ rollout, offline }: WireRunRequest): Pick<RunRequest, 'rollout' | 'offline'> {
  const { parallel = 0, batch, batchWaitMs = 0, maxFailures } = rollout ?? {};
  for (const share of [batch, maxFailures]) {
    if (share?.isPercent === true && share.count > 100)
      throw new KomposeError('usage', 'a share is at most 100%');
  }
  if (batch?.count === 0) throw new KomposeError('usage', '--batch takes at least one host');
  return { rollout: { parallel, batch, batchWaitMs, maxFailures }, offline: checkedOffline(offline) };
}

function checkedOffline(offline: WireRunRequest['offline']): OfflinePolicy {
  switch (offline?.kind?.$case) {
    case 'skip':
      return { kind: 'skip' };
    case 'waitMs':
      return { kind: 'wait', waitMs: offline.kind.value };
    case undefined:
      if (offline === undefined) return { kind: 'fail' };
      throw new KomposeError(
        'protocol',
        'the client asks for an unknown way with offline hosts: upgrade the controller',
      );
  }
}
