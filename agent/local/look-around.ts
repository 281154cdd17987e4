import { stat } from 'node:fs/promises';
import { KomposeError } from '../../common/errors.ts';
import type { StackStatus, StackSummary } from '../../common/inventory.ts';
import { discoverStacks } from '../stacks/discovery.ts';
import { HooksParser } from '../stacks/hooks-file.ts';
import { takeInventory } from '../stacks/inventory.ts';
import { ComposeFiles } from '../stacks/compose-file.ts';
import { askStatus } from '../stacks/status.ts';

/** The stacks of a root; none if there is no such folder. */
export async function stacksOf(root: string): Promise<string[]> {
  return discoverStacks(root).then(
    (stacks) => stacks.map(({ name }) => name),
    () => [],
  );
}

/** What a root holds, and what of it is up; without the latter where the engine does not answer, and why. */
export async function lookAround(
  root: string,
  env: Readonly<Record<string, string>>,
): Promise<{ stacks: StackSummary[]; status: StackStatus[]; problem: string }> {
  const hooksParser = new HooksParser(env, (await stat(root)).uid);
  const asked = askStatus(root, env).then(
    (status) => ({ status, problem: '' }),
    (error: unknown) => ({ status: [], problem: KomposeError.from(error).message }),
  );
  return { stacks: await takeInventory(root, hooksParser, new ComposeFiles()), ...(await asked) };
}
