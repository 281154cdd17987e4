import { realpath } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import {
  asChained,
  lookAround,
  offerLocalScript,
  runEmbedded,
  stacksOf,
  type EmbeddedOrder,
} from '../../agent/embedded.ts';
import { secretValues } from '../../common/redaction/secret-name.ts';
import { KomposeError } from '../../common/errors.ts';
import type { HostOrder } from '../../common/host-order.ts';
import { matchHere } from '../../common/match-here.ts';
import type { HostStack } from '../../proto/gen/kompose/v1/fleet.ts';
import { runByAgent } from '../agent-socket.ts';
import type { Call } from '../call.ts';
import { checkRawOrder } from '../check-raw.ts';
import { confirmTargets } from '../confirm.ts';
import { followLocal } from '../follow-local.ts';
import { showRows } from '../listing.ts';
import type { ListOrder, RunOrder } from '../order.ts';
import { stackListing } from './list.ts';

/**
 * The stacks root for local mode: KOMPOSE_STACKS, else the current folder; undefined if that holds no stack and local
 * mode was not asked for. Throws `not-found` if it was.
 */
export async function findStacksRoot(
  given: string | undefined,
  isAskedFor: boolean,
): Promise<string | undefined> {
  const root = given ?? process.cwd();
  if ((await stacksOf(root)).length > 0) return realpath(root);
  if (!isAskedFor) return undefined;
  const hint = 'go to the folder that holds the stacks, or set KOMPOSE_STACKS';
  throw new KomposeError(
    'not-found',
    `${root} is no stacks root (no subfolder with a compose file): ${hint}`,
  );
}

/**
 * `kompose <pattern> <command>` on this machine's own stacks, in this process; shown like any run. `by` says whether
 * it was typed to kompose or to kompose.sh, which a hook may have called.
 */
export async function runLocal(
  call: Call,
  order: RunOrder,
  root: string,
  by: 'kompose' | 'script' = 'kompose',
): Promise<number> {
  await checkOrder(call, order, root);
  const { env, userFolder } = call.settings;
  const agentFolder = join(dirname(userFolder), 'agent');
  const host = { root, name: hostName(call), env, launcher: launcher(), agentFolder };
  const own: EmbeddedOrder = { ...toHostOrder(order), user: userName(call), chain: undefined };
  const asked = (by === 'script' ? asChained(own, host) : undefined) ?? { order: own, host };
  if (!order.isDryRun) await offerLocalScript(root, host.launcher);
  const unrecorded = { ...call, style: { ...call.style, isUnrecorded: true } };
  return followLocal(unrecorded, order, (io) => runEmbedded(asked.order, asked.host, io));
}

/** The same by the agent of this host, behind its socket. */
export async function runThroughAgent(
  call: Call,
  order: RunOrder,
  root: string,
  socket: string,
): Promise<number> {
  await checkOrder(call, order, root);
  const { hookTask: parentTask, env } = call.settings;
  const who = { user: userName(call), parentTask, secrets: secretValues(env) };
  return followLocal(call, order, (io) => {
    const { stdin, terminal } = io;
    return runByAgent(socket, { ...toHostOrder(order), ...who, hasStdin: stdin !== undefined, terminal }, io);
  });
}

/** `--list` and `kompose stacks` of this machine's own stacks. */
export async function listLocal(
  call: Call,
  { pattern, hosts, labels }: ListOrder,
  root: string,
  limit?: number,
): Promise<number> {
  if (labels.length > 0) throw needsController('--label');
  const host = hostName(call);
  const { stacks, status, problem } = await lookAround(root, call.settings.env);
  const rows = stacks.map(({ name, hooks, ...rest }): HostStack => {
    const { servicesUp = [] } = status.find((each) => each.name === name) ?? {};
    const up = { servicesUp: [...servicesUp], servicesError: problem, online: true };
    return { host, stack: name, hooks: [...hooks], ...rest, ...up };
  });
  const names = stacks.map(({ name }) => name);
  const isAll = pattern === '' && hosts.length === 0;
  const chosen = new Set(isAll ? names : matchHere(pattern || '*', hosts, { host, root, stacks: names }));
  const matching = rows.filter(({ stack }) => chosen.has(stack));
  return showRows(call, stackListing, eachOf(matching), limit);
}

async function* eachOf<Row>(rows: readonly Row[]): AsyncGenerator<Row> {
  yield* rows;
}

/** There is one host, and nobody else to go on with the run. */
async function checkOrder(call: Call, order: RunOrder, root: string): Promise<void> {
  if (order.isDetached) throw needsController('--detach');
  checkRawOrder(call, order);
  if (order.labels.length > 0) throw needsController('--label');
  const host = hostName(call);
  const matched = matchHere(order.pattern, order.hosts, { host, root, stacks: await stacksOf(root) });
  await confirmTargets(
    call,
    order,
    matched.map((stack) => `${host}:${stack}`),
  );
}

function needsController(option: string): KomposeError {
  return new KomposeError('usage', `${option} needs a controller; this command is for this machine alone`);
}

function toHostOrder({ isDryRun, isRaw, ...order }: RunOrder): HostOrder {
  const { pattern, hosts, command, args, env, network, timeoutMs, rollout } = order;
  return { pattern, hosts, command, args, env, network, timeoutMs, rollout, dryRun: isDryRun, raw: isRaw };
}

function hostName({ settings }: Call): string {
  return settings.hostName ?? hostname();
}

/** A user whom the system does not know by name has a number. */
function userName({ settings }: Call): string {
  try {
    return userInfo().username;
  } catch {
    return settings.env['USER'] ?? String(process.getuid?.() ?? 'unknown');
  }
}

/** This program, called again as the agent's part of it. */
function launcher(): [string, ...string[]] {
  const program = process.argv[1] ?? '';
  const noun = /kompose-agent(?:\.[jt]s)?$/.test(program) ? [] : ['agent'];
  return [process.execPath, ...process.execArgv, program, ...noun];
}
