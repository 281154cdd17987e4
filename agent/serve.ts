import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { version } from '../common/version.ts';
import { loadMembership, type AgentEnvironment } from './config.ts';
import { keepLinked } from './session/link.ts';
import { ComposeFinder } from './stacks/compose-tool.ts';
import { allowedAgentEnv } from './stacks/env-layers.ts';
import { HooksParser } from './stacks/hooks-file.ts';
import { takeInventory, watchInventory } from './stacks/inventory.ts';
import { askStatus } from './stacks/status.ts';
import { TaskRegistry } from './tasks/task-registry.ts';

/**
 * Serves this host until the signal fires. `onConnected` is called at each link that stands. Throws what
 * `keepLinked` throws.
 */
export async function serveAgent(
  { env, folder }: AgentEnvironment,
  onConnected: (address: string) => void,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const { config, identity } = await loadMembership(folder);
  const agentEnv = allowedAgentEnv(env);
  const hooksParser = new HooksParser(agentEnv, (await stat(config.stacks)).uid);
  const compose = new ComposeFinder(agentEnv);
  const taskHost = { root: config.stacks, name: config.name, agentEnv, hooksParser, compose };
  const tasks = await TaskRegistry.open(taskHost, join(folder, 'tasks'), log);
  const inventory = (): ReturnType<typeof takeInventory> => takeInventory(config.stacks, hooksParser);
  const host = {
    version,
    tasks,
    instanceId: randomUUID(),
    startedMs: Date.now(),
    takeInventory: inventory,
    watchInventory: (watchSignal: AbortSignal) => watchInventory(inventory, watchSignal),
    askStatus: () => askStatus(config.stacks, agentEnv),
  };
  try {
    await keepLinked({ addresses: config.addresses, identity, host, log, onConnected }, signal);
  } finally {
    tasks.cancelAll('the agent is stopping');
    await tasks.settled();
  }
}
