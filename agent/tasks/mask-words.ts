import { argumentSecrets } from '../../common/redaction/argument-secrets.ts';
import { Masker } from '../../common/redaction/masker.ts';
import { mayHoldSecret } from '../../common/redaction/may-hold-secret.ts';
import { mark } from '../../common/redaction/secret-patterns.ts';
import { findStack } from '../stacks/discovery.ts';
import type { TaskHost } from './prepare-task.ts';
import { readTaskEnv, type GivenEnv } from './task-env.ts';

/** Words of a request for some stacks of this host. */
export interface WordsToMask extends GivenEnv {
  readonly words: readonly string[];
  readonly stacks: readonly string[];
  /** As in `TaskSpec`. */
  readonly secrets?: readonly string[];
}

/**
 * The words as they may be recorded: without the secrets of the request and of those stacks, save what hooks will
 * export. Where a `.env` file cannot be read, whatever might hold one is hidden whole. Never throws.
 */
export async function maskWords(
  { words, stacks, secrets = [], ...given }: WordsToMask,
  host: Pick<TaskHost, 'root' | 'name' | 'agentEnv' | 'composeFiles'>,
): Promise<string[]> {
  const masker = new Masker([...argumentSecrets({ env: given.env, args: words }), ...secrets]);
  const names = new Set([host.name, ...stacks]);
  try {
    for (const name of stacks) {
      const stack = await findStack(host.root, name);
      if (stack === undefined) continue;
      const { services, projectName } = await host.composeFiles.read(stack.path, stack.composeFile);
      for (const service of services) names.add(service);
      await readTaskEnv(given, host, { ...stack, projectName }, masker);
    }
    return words.map((word) => (names.has(word) ? word : masker.maskText(word)));
  } catch {
    return words.map((word) => (mayHoldSecret(word, names) ? mark : word));
  }
}
