import type { HostFilter } from '../../proto/gen/kompose/v1/fleet.ts';
import { contextNames } from '../contexts.ts';
import type { Fleet } from '../client.ts';
import type { Settings } from '../config.ts';
import { connect } from '../connect.ts';
import type { Completion, Live } from './completion.ts';

/** More than this help nobody who presses Tab. */
const mostRuns = 30;

/** The names that the live fleet has. Throws what the link to the controller throws. */
export async function askFleet(settings: Settings, completion: Completion): Promise<string[]> {
  const { live, typed, options } = completion;
  if (live === undefined) return [];
  if (live.kind === 'contexts') return contextNames(settings.userFolder);
  const last = (name: string): string | undefined => options.get(name)?.at(-1);
  const globals = { output: 'plain', quiet: true, color: false } as const;
  const chosen = { controller: last('--controller'), context: last('--context') };
  using fleet = await connect(settings, { ...globals, ...chosen }, () => undefined);
  const filter = { hosts: [...(options.get('--host') ?? [])], labels: [...(options.get('--label') ?? [])] };
  return await namesOf(fleet, live, filter, typed);
}

async function namesOf(fleet: Fleet, live: Live, filter: HostFilter, typed: string): Promise<string[]> {
  const { client } = fleet;
  switch (live.kind) {
    case 'hosts':
      return collect(fleet.read(client.listHosts({})), ({ name }) => [name]);
    case 'labels':
      return collect(fleet.read(client.listHosts({})), ({ labels }) =>
        Object.entries(labels).map(([key, value]) => `${key}=${value}`),
      );
    case 'targets':
      return collect(
        fleet.read(client.listStacks({ pattern: '', filter, withServices: false })),
        ({ host, stack }) => (typed === '' ? [stack] : [stack, `${host}:${stack}`]),
      );
    case 'services':
      return collect(
        fleet.read(client.listStacks({ pattern: live.pattern, filter, withServices: true })),
        ({ servicesUp }) => servicesUp,
      );
    case 'runs':
      return collect(fleet.read(client.listRuns({ limit: mostRuns })), ({ id }) => [id]);
    case 'tokens':
      return collect(fleet.read(client.listTokens({})), ({ id }) => [id]);
    case 'users':
      return collect(fleet.read(client.listUsers({})), ({ name }) => [name]);
    case 'roles':
      return collect(fleet.read(client.listRoles({})), ({ name }) => [name]);
    case 'contexts':
      return [];
  }
}

async function collect<Row>(rows: AsyncIterable<Row>, names: (row: Row) => string[]): Promise<string[]> {
  const all: string[] = [];
  for await (const row of rows) all.push(...names(row));
  return all;
}
