import { setTimeout as delay } from 'node:timers/promises';
import type { StackSummary } from '../../common/inventory.ts';
import { discoverStacks } from './discovery.ts';
import { noHooks, type HooksParser } from './hooks-file.ts';
import type { ComposeFiles } from './compose-file.ts';

const pollMs = 500;

/** The stacks of a root as the controller is told of them. */
export async function takeInventory(
  root: string,
  hooksParser: HooksParser,
  composeFiles: ComposeFiles,
): Promise<StackSummary[]> {
  const folders = await discoverStacks(root);
  return Promise.all(
    folders.map(async ({ name, path, composeFile, hasHooksFile, hasEnvFile, dumps }) => {
      const hooks = hasHooksFile ? await hooksParser.read(path) : noHooks;
      return {
        name,
        composeFile,
        hasEnvFile,
        dumps,
        hooks: hooks.kind === 'parsed' ? hooks.functions : [],
        services: (await composeFiles.read(path, composeFile)).services,
      };
    }),
  );
}

/**
 * Yields the inventory at once and after each change, until the signal fires. It looks twice a second instead of
 * subscribing to the kernel: that works on every file system, misses nothing between two folders' watches and
 * costs about a stat a file.
 */
export async function* watchInventory(
  take: () => Promise<StackSummary[]>,
  signal: AbortSignal,
): AsyncGenerator<StackSummary[]> {
  let last: string | undefined;
  while (!signal.aborted) {
    // A root that is away for a moment holds no stacks then.
    const stacks = await take().catch(() => []);
    const now = JSON.stringify(stacks);
    if (now !== last) yield stacks;
    last = now;
    await delay(pollMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}
