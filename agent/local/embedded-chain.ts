import { KomposeError } from '../../common/errors.ts';
import type { Chain, TaskSpec } from '../tasks/task-spec.ts';

/** What a chained command inherits in local mode, where no agent keeps it. */
export interface EmbeddedParent extends Chain {
  readonly env: Readonly<Record<string, string>>;
  readonly network: string | undefined;
  readonly user: string;
  /** Unix milliseconds; absent without a deadline. */
  readonly deadlineMs: number | undefined;
}

const variable = 'KOMPOSE_CHAIN';

/** Tells the hooks of an embedded run's task where they stand. */
export function chainEnv({
  run,
  stack,
  chain,
  env,
  network,
  user,
  timeoutMs,
}: TaskSpec): Record<string, string> {
  const parent: EmbeddedParent = {
    root: chain?.root ?? run,
    stacks: [...(chain?.stacks ?? []), stack],
    env,
    network,
    user,
    deadlineMs: timeoutMs > 0 ? Date.now() + timeoutMs : undefined,
  };
  return { [variable]: JSON.stringify(parent) };
}

/** The embedded task whose hook this process was called from, if that is so. Throws `usage` for what is no such thing. */
export function embeddedParent(
  env: Readonly<Record<string, string | undefined>>,
): EmbeddedParent | undefined {
  const text = env[variable];
  if (text === undefined) return undefined;
  try {
    const parent = JSON.parse(text) as EmbeddedParent;
    if (Array.isArray(parent.stacks) && typeof parent.root === 'string') return parent;
  } catch (error) {
    throw new KomposeError('usage', `${variable} is kompose's own: unset it`, { cause: error });
  }
  throw new KomposeError('usage', `${variable} is kompose's own: unset it`);
}
