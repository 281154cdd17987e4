import type { HostStack } from '../../proto/gen/kompose/v1/fleet.ts';
import type { Call } from '../call.ts';
import { showListing, type Listing } from '../listing.ts';
import type { ListOrder } from '../order.ts';

/** `--list` and `kompose stacks`: what a pattern matches, and what of it is up. */
export async function list(
  call: Call,
  { pattern, hosts, labels }: ListOrder,
  limit?: number,
): Promise<number> {
  const root = await call.findStacksRoot();
  if (root !== undefined)
    return (await import('./local.ts')).listLocal(call, { pattern, hosts, labels }, root, limit);
  const request = { pattern, filter: { hosts: [...hosts], labels: [...labels] }, withServices: true };
  return showListing(call, stackListing, (client) => client.listStacks(request), limit);
}

export const stackListing: Listing<HostStack> = {
  nothing: 'no stacks',
  columns: [
    { title: 'HOST', text: ({ host }) => host },
    { title: 'STACK', text: ({ stack }) => stack },
    { title: 'COMPOSE FILE', text: ({ composeFile }) => composeFile, narrow: 'dropped' },
    { title: 'HOOKS', text: ({ hooks }) => hooks.join(' '), wraps: true },
    { title: '.ENV', text: ({ hasEnvFile }) => (hasEnvFile ? 'yes' : '-') },
    { title: 'DUMPS', text: ({ dumps }) => String(dumps) },
    { title: 'SERVICES UP', text: servicesText, wraps: true },
  ],
  json: (row) => ({
    host: row.host,
    stack: row.stack,
    composeFile: row.composeFile,
    hooks: row.hooks,
    env: row.hasEnvFile,
    dumps: row.dumps,
    services: row.servicesError === '' ? row.servicesUp : null,
    ...(row.servicesError === '' ? {} : { servicesError: row.servicesError }),
    online: row.online,
  }),
};

function servicesText({ servicesUp, servicesError }: HostStack): string {
  return servicesError === '' ? servicesUp.join(' ') : `- (${servicesError})`;
}
