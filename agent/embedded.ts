import { mkdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monotonicFactory } from 'ulid';
import { secretValues } from '../common/redaction/secret-name.ts';
import type { Target } from '../common/task-event.ts';
import { chainEnv, embeddedParent } from './local/embedded-chain.ts';
import { EmbeddedRun, type EmbeddedCaller, type EmbeddedOrder } from './local/embedded-run.ts';
import { keepKomposeScript, type Launcher } from './local/kompose-script.ts';
import type { WatchedRun } from './local/left-behind.ts';
import { endLeftBehindVerb } from './local/left-behind-verb.ts';
import { findLocalTargets } from './local/local-targets.ts';
import { loadPolicyFor } from './policy.ts';
import { startWatchdog, type Watchdog } from './process/watchdog.ts';
import { ComposeFinder } from './stacks/compose-tool.ts';
import { allowedAgentEnv } from './stacks/env-layers.ts';
import { HooksParser } from './stacks/hooks-file.ts';
import { ComposeFiles } from './stacks/compose-file.ts';
import type { TaskHost } from './tasks/prepare-task.ts';
import { ofNoTask } from './tasks/execute.ts';

export type { EmbeddedOrder } from './local/embedded-run.ts';
export { lookAround, stacksOf } from './local/look-around.ts';

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
  const composeFiles = new ComposeFiles();
  return { root, name, agentEnv: env, hooksParser, composeFiles, compose, chainEnv, policy };
}

/** Keeps `kompose.sh` in a root that hooks of embedded runs call; a root that we may not write to does without. */
export async function offerLocalScript(root: string, launcher: Launcher): Promise<void> {
  await keepKomposeScript(root, launcher, undefined).catch(() => false);
}
