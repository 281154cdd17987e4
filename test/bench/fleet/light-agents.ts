import { mkdtempSync, rmSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pino } from 'pino';
import { answerParent } from './answering.ts';
import type { LightHost } from './light-agent.ts';

/*
 * Many light agents in one process. Who imports the two doors of agent/process/ through which a reading command begins
 * processes gets those of no-processes/ in their place; all else of the agent is as it is.
 */
const doors = /\/agent\/process\/(running-process|capture)\.ts$/;
registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const [, door] = doors.exec(resolved.url) ?? [];
    if (door === undefined) return resolved;
    return { ...resolved, url: new URL(`no-processes/${door}.ts`, import.meta.url).href };
  },
});
const { serveLightAgent } = await import('./light-agent.ts');
const { hold, letGo } = await import('./no-processes/running-process.ts');

/** What may be asked of it. */
export interface LightAgentQuestions {
  /** Answers once all are linked for the first time, with the folder that holds one of each. */
  start: {
    ask: { readonly address: string; readonly root: string; readonly hosts: readonly LightHost[] };
    answer: string;
  };
  /** Answers, with the Unix time of the last, once each has been linked anew since this was asked. */
  linkedAnew: { ask: undefined; answer: number };
  /** From now on what tasks begin does not end by itself. */
  hold: { ask: undefined; answer: undefined };
  letGo: { ask: undefined; answer: undefined };
}

/** In memory: each of so many hosts would have a disk of its own. */
const folder = mkdtempSync('/dev/shm/kompose-light-');
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
process.on('SIGTERM', () => process.exit());
const log = pino({ level: process.env['LIGHT_LOG'] ?? 'silent' });

let names: readonly string[] = [];
let missing = new Set<string>();
let all = Promise.withResolvers<number>();

function expectAll(): Promise<number> {
  missing = new Set(names);
  all = Promise.withResolvers();
  return all.promise;
}

function linked(name: string): void {
  if (!missing.delete(name) || missing.size > 0) return;
  all.resolve(Date.now());
}

answerParent<LightAgentQuestions>({
  start: async ({ address, root, hosts }) => {
    names = hosts.map(({ name }) => name);
    const first = expectAll();
    for (const host of hosts) {
      // One each, as each would have in a process of its own: who listens to one is looked for among all who do.
      const { signal } = new AbortController();
      const onConnected = (): void => linked(host.name);
      const options = { address, root, folder: join(folder), log, onConnected, onLost: () => undefined };
      serveLightAgent(host, options, signal).catch((error: unknown) => all.reject(error));
    }
    await first;
    return folder;
  },
  linkedAnew: expectAll,
  hold: async () => {
    hold();
    return undefined;
  },
  letGo: async () => {
    letGo();
    return undefined;
  },
});
