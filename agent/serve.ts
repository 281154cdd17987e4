import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { HeadWitness } from '../common/audit/head-witness.ts';
import { ProcessGauge } from '../common/process-gauge.ts';
import { RosterFile } from '../common/roster/roster-file.ts';
import { version } from '../common/version.ts';
import { watchWork } from '../common/work-and-rest.ts';
import {
  loadMembership,
  loadSealingKey,
  readPatience,
  rosterPath,
  saveRenewed,
  type AgentEnvironment,
} from './config.ts';
import { agentGauges } from './gauges.ts';
import { loadPolicy } from './policy.ts';
import { formatDuration } from '../common/durations.ts';
import { CutOff } from './session/cut-off.ts';
import { keepLinked } from './session/link.ts';
import { nextStart } from './session/next-start.ts';
import { AgentCertificate } from './session/renewal.ts';
import { ComposeFinder } from './stacks/compose-tool.ts';
import { allowedAgentEnv } from './stacks/env-layers.ts';
import { keepKomposeScript, type Launcher, type ScriptKeeper } from './local/kompose-script.ts';
import { LocalRuns } from './local/local-runs.ts';
import { localSocketPath, serveLocally } from './local/local-server.ts';
import { HooksParser } from './stacks/hooks-file.ts';
import { takeInventory, watchInventory } from './stacks/inventory.ts';
import { ComposeFiles } from './stacks/compose-file.ts';
import { askStatus } from './stacks/status.ts';
import { maskWords, type WordsToMask } from './tasks/mask-words.ts';
import { SentScripts } from './tasks/sent-scripts.ts';
import { TaskJournal } from './tasks/task-journal.ts';
import { TaskRegistry } from './tasks/task-registry.ts';

/** How often the newest head of the audit is written, at most; a stop writes it too. */
const witnessPeriodMs = 10_000;

/**
 * Serves this host until the signal fires; `launcher` is how this program is called again. `onConnected` is called at each link that stands. Throws what
 * `keepLinked` throws.
 */
export async function serveAgent(
  { env, folder }: AgentEnvironment,
  launcher: Launcher,
  onConnected: (address: string) => void,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const patienceMs = readPatience(env);
  const { config, identity } = await loadMembership(folder);
  const certificate = new AgentCertificate(identity, (renewed) => saveRenewed(folder, renewed), log);
  const policy = await loadPolicy(folder);
  const agentEnv = allowedAgentEnv(env);
  const hooksParser = new HooksParser(agentEnv, (await stat(config.stacks)).uid);
  const compose = new ComposeFinder(agentEnv);
  const composeFiles = new ComposeFiles();
  const scripts = new SentScripts();
  const taskHost = {
    root: config.stacks,
    name: config.name,
    agentEnv,
    hooksParser,
    composeFiles,
    compose,
    policy,
    scripts,
  };
  const roster = RosterFile.open(rosterPath(folder), config.root);
  const journal = TaskJournal.open(join(folder, 'begun-tasks'), Date.now);
  const wasBegun = (task: string): boolean => journal.has(task);
  const tasks = await TaskRegistry.open(taskHost, join(folder, 'tasks'), log, wasBegun);
  const localRuns = new LocalRuns(join(folder, 'local-runs'));
  const socket = localSocketPath(folder);
  const local = await serveLocally(socket, { taskHost, tasks, localRuns }, log);
  await offerScript(config.stacks, launcher, { socket, name: config.name }, log);
  const inventory = (): ReturnType<typeof takeInventory> =>
    takeInventory(config.stacks, hooksParser, composeFiles);
  using processGauge = new ProcessGauge();
  using _ = watchWork();
  const gauged = { process: processGauge, tasks, localRuns };
  const host = {
    version,
    name: config.name,
    roster,
    sealingKey: await loadSealingKey(folder),
    journal,
    tasks,
    localRuns,
    auditWitness: new HeadWitness(join(folder, 'audit-head.json'), witnessPeriodMs),
    instanceId: randomUUID(),
    startedMs: await nextStart(folder, Date.now(), log),
    takeInventory: inventory,
    watchInventory: (watchSignal: AbortSignal) => watchInventory(inventory, watchSignal),
    askStatus: () => askStatus(config.stacks, agentEnv),
    maskWords: (words: WordsToMask) => maskWords(words, taskHost),
    readGauges: (reports: number) => agentGauges(gauged, reports),
  };
  using cutOff = new CutOff(patienceMs, () =>
    tasks.cancelWatched(`cut off from the controller for ${formatDuration(patienceMs)}: nobody watches it`),
  );
  try {
    const onLinked = (address: string): void => {
      cutOff.linked();
      scripts.forget();
      onConnected(address);
    };
    const { addresses } = config;
    const onLost = (): void => cutOff.lost();
    await keepLinked({ addresses, certificate, host, log, onConnected: onLinked, onLost }, signal);
  } finally {
    local.close();
    tasks.leave('the agent is stopping');
    await tasks.left();
    await local.answered();
    journal.close();
  }
}

/** A stacks root that we may not write to, or with a kompose.sh of its own, does without ours. */
async function offerScript(
  root: string,
  launcher: Launcher,
  keeper: ScriptKeeper,
  log: Logger,
): Promise<void> {
  try {
    const isOurs = await keepKomposeScript(root, launcher, keeper);
    if (!isOurs) log.warn({ root }, 'kompose.sh in the stacks root is not ours and was left alone');
  } catch (error) {
    log.warn({ root, err: error }, 'kompose.sh cannot be written: hooks on this host cannot chain');
  }
}
