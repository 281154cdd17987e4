import { KomposeError } from '../../common/errors.ts';
import type { StackStatus } from '../../common/inventory.ts';
import type { HostStack } from '../../proto/gen/kompose/v1/fleet.ts';
import type { Fleet, HostRecord } from '../fleet/fleet.ts';
import { resolveTargets, type HostFilter, type ResolvedTarget } from '../fleet/resolve-targets.ts';
import type { RunRegistry } from '../runs/run-registry.ts';

interface Question {
  /** Empty means everything. */
  readonly pattern: string;
  readonly filter: HostFilter;
  readonly withServices: boolean;
  /** To the one who asks. */
  readonly isShown: (target: ResolvedTarget) => boolean;
}

type HostServices = { readonly error: string; readonly stacks: readonly StackStatus[] };

/** What a pattern matches, in order. An empty fleet is no error where everything is asked for. */
export async function listStacks(fleet: Fleet, runs: RunRegistry, question: Question): Promise<HostStack[]> {
  const targets = (await findTargets(fleet, runs, question)).filter(question.isShown);
  const hosts = new Map(fleet.list().map((host) => [host.name, host]));
  const services = question.withServices
    ? await askServices(new Set(targets.map(({ host }) => host)), hosts)
    : new Map<string, HostServices>();
  return targets.map(({ host, stack }) => {
    const known = hosts.get(host);
    const summary = known?.stacks?.find(({ name }) => name === stack);
    const told = services.get(host);
    return {
      host,
      stack,
      composeFile: summary?.composeFile ?? '',
      hooks: [...(summary?.hooks ?? [])],
      hasEnvFile: summary?.hasEnvFile ?? false,
      dumps: summary?.dumps ?? 0,
      online: known?.session !== undefined,
      servicesUp: [...(told?.stacks.find(({ name }) => name === stack)?.servicesUp ?? [])],
      servicesError: told?.error ?? '',
    };
  });
}

async function findTargets(fleet: Fleet, runs: RunRegistry, { pattern, filter }: Question) {
  const find = () => resolveTargets(pattern === '' ? '*' : pattern, filter, fleet.list());
  try {
    return find();
  } catch (error) {
    if (KomposeError.from(error).code !== 'not-found') throw error;
  }
  await runs.rescan();
  try {
    return find();
  } catch (error) {
    const isEverything = pattern === '' && filter.hosts.length === 0 && filter.labels.length === 0;
    if (isEverything && KomposeError.from(error).code === 'not-found') return [];
    throw error;
  }
}

async function askServices(
  names: ReadonlySet<string>,
  hosts: ReadonlyMap<string, HostRecord>,
): Promise<Map<string, HostServices>> {
  const answers = [...names].map(async (name): Promise<[string, HostServices]> => {
    const session = hosts.get(name)?.session;
    if (session === undefined) return [name, { error: 'offline', stacks: [] }];
    try {
      return [name, { error: '', stacks: await session.askStatus() }];
    } catch (error) {
      return [name, { error: KomposeError.from(error).message, stacks: [] }];
    }
  });
  return new Map(await Promise.all(answers));
}
