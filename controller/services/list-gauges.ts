import { KomposeError } from '../../common/errors.ts';
import type { Gauges } from '../../common/gauges.ts';
import type { HostGauges } from '../../proto/gen/kompose/v1/fleet.ts';
import type { Fleet, HostRecord } from '../fleet/fleet.ts';
import { chooseHosts, type HostFilter } from '../fleet/resolve-targets.ts';

/**
 * The controller's first, then, where hosts are asked for, theirs by name; all are asked at once. Throws `usage` for a bad
 * filter and `not-found` where it matches no host.
 */
export async function* listGauges(
  own: Gauges,
  fleet: Fleet,
  filter: HostFilter | undefined,
): AsyncGenerator<HostGauges> {
  yield { host: '', gauges: own, error: '' };
  if (filter !== undefined) yield* chooseHosts(filter, fleet.list()).map(ask);
}

async function ask({ name: host, session }: HostRecord): Promise<HostGauges> {
  if (session === undefined) return { host, gauges: undefined, error: 'offline' };
  try {
    return { host, gauges: await session.askGauges(), error: '' };
  } catch (error) {
    return { host, gauges: undefined, error: KomposeError.from(error).message };
  }
}
