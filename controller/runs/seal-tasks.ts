import { sealTo } from '../../common/sealing.ts';
import { encodeSealedTask } from '../../proto/sealed-task-codec.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { TaskFacts } from './run-facts.ts';
import type { SignedRun } from './signed-run.ts';

/**
 * What the tasks of a run are asked with, by task, each sealed to its host alone. Those of a host that has no key, or one
 * that cannot be sealed to, are left out, and so are those that were not signed.
 */
export async function sealTasks(
  tasks: readonly TaskFacts[],
  { order, values, signatures }: SignedRun,
  fleet: Pick<Fleet, 'get'>,
): Promise<Map<string, Uint8Array>> {
  const sealed = await Promise.all(
    tasks.map(async ({ id, host }) => {
      const key = fleet.get(host)?.sealingKey;
      const signature = signatures.get(id);
      if (key === undefined || signature === undefined) return undefined;
      const bytes = encodeSealedTask({ order, signature, values });
      return sealTo(key, bytes, id).then(
        (text) => [id, text] as const,
        () => undefined,
      );
    }),
  );
  return new Map(sealed.filter((each) => each !== undefined));
}
