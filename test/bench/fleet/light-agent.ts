import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { agentGauges } from '../../../agent/gauges.ts';
import { LocalRuns } from '../../../agent/local/local-runs.ts';
import { AgentCertificate } from '../../../agent/session/renewal.ts';
import { keepLinked } from '../../../agent/session/link.ts';
import type { SessionHost } from '../../../agent/session/session.ts';
import { ComposeFinder } from '../../../agent/stacks/compose-tool.ts';
import { HooksParser } from '../../../agent/stacks/hooks-file.ts';
import { takeInventory } from '../../../agent/stacks/inventory.ts';
import { ComposeFiles } from '../../../agent/stacks/compose-file.ts';
import { maskWords } from '../../../agent/tasks/mask-words.ts';
import { SentScripts } from '../../../agent/tasks/sent-scripts.ts';
import { TaskJournal } from '../../../agent/tasks/task-journal.ts';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import { HeadWitness } from '../../../common/audit/head-witness.ts';
import { RosterFile } from '../../../common/roster/roster-file.ts';
import { createSealingSeed, sealingKey } from '../../../common/sealing.ts';
import { ProcessGauge } from '../../../common/process-gauge.ts';
import { version } from '../../../common/version.ts';
import type { Identity } from '../../../proto/enrol.ts';

/** A host that has joined. */
export interface LightHost {
  readonly name: string;
  readonly identity: Identity;
}

export interface LightAgentOptions {
  readonly address: string;
  /** Of all light agents of this process; in memory. */
  readonly folder: string;
  /** The fingerprint that the roster begins with. */
  readonly root: string;
  readonly log: Logger;
  readonly onConnected: () => void;
  readonly onLost: () => void;
}

/** Of the process, which all its agents share. */
const processGauge = new ProcessGauge();
/** There are no programs on it, so that no step is kept by a bash of its own. */
const agentEnv = { PATH: '/nonexistent', HOME: '/nonexistent' };
const witnessPeriodMs = 10_000;

/**
 * An agent as `serveAgent` makes it, with the same session, tasks, journal and spools, of a host with one stack. It
 * differs in three things: no process is begun (see no-processes/), it looks at its stacks root when it is asked to and
 * not twice a second, and there is no socket for `kompose.sh`. Serves until the signal fires.
 */
export async function serveLightAgent(
  { name, identity }: LightHost,
  options: LightAgentOptions,
  signal: AbortSignal,
): Promise<void> {
  const { address, log, onConnected, onLost } = options;
  const host = await lightHost(name, join(options.folder, name), options.root, log);
  const certificate = new AgentCertificate(identity, async () => undefined, log);
  try {
    await keepLinked({ addresses: [address], certificate, host, log, onConnected, onLost }, signal);
  } finally {
    host.tasks.leave('the agent is stopping');
    await host.tasks.left();
    host.journal.close();
  }
}

async function lightHost(
  name: string,
  folder: string,
  root: string,
  log: Logger,
): Promise<SessionHost & { readonly journal: TaskJournal }> {
  const stacks = join(folder, 'stacks');
  mkdirSync(join(stacks, 'sexy'), { recursive: true });
  writeFileSync(join(stacks, 'sexy/compose.yaml'), 'services:\n  web:\n    image: nginx\n');
  const hooksParser = new HooksParser(agentEnv, process.getuid?.() ?? 0);
  const composeFiles = new ComposeFiles();
  const compose = new ComposeFinder(agentEnv);
  const taskHost = {
    root: stacks,
    name,
    agentEnv,
    hooksParser,
    composeFiles,
    compose,
    scripts: new SentScripts(),
  };
  const tasks = await TaskRegistry.open(taskHost, join(folder, 'tasks'), log);
  const localRuns = new LocalRuns(join(folder, 'local-runs'));
  const inventory = (): ReturnType<typeof takeInventory> => takeInventory(stacks, hooksParser, composeFiles);
  return {
    version,
    name,
    roster: RosterFile.open(join(folder, 'roster'), root),
    sealingKey: await sealingKey(createSealingSeed()),
    journal: TaskJournal.open(join(folder, 'begun-tasks'), Date.now),
    tasks,
    localRuns,
    auditWitness: new HeadWitness(join(folder, 'audit-head.json'), witnessPeriodMs),
    instanceId: randomUUID(),
    startedMs: Date.now(),
    takeInventory: inventory,
    async *watchInventory(signal) {
      yield await inventory();
      if (!signal.aborted) await once(signal, 'abort');
    },
    askStatus: async () => [],
    maskWords: (words) => maskWords(words, taskHost),
    readGauges: (reports) => agentGauges({ process: processGauge, tasks, localRuns }, reports),
  };
}
