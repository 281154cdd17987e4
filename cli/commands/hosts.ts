import { KomposeError } from '../../common/errors.ts';
import { certificateNoticeMs } from '../../common/finding.ts';
import { checkHostName, checkLabel, checkLabelKey } from '../../common/names.ts';
import { quoted } from '../../common/quoted.ts';
import type { Host } from '../../proto/gen/kompose/v1/fleet.ts';
import { say, type Call } from '../call.ts';
import type { Noun } from '../noun.ts';
import { limitOption, showListing, type Listing } from '../listing.ts';
import { showFields } from '../fields.ts';
import { nearest } from '../../common/nearest.ts';
import { labelsText, timeOrNull, timeText } from '../output/values.ts';

export const hosts: Noun = {
  name: 'hosts',
  summary: 'The machines with an agent.',
  verbs: [
    {
      name: 'ls',
      summary: 'list the hosts, their labels and which are online',
      isDefault: true,
      options: () => [limitOption()],
      run: (call, _, { limit }) => showListing(call, hostListing, (client) => client.listHosts({}), limit),
    },
    {
      name: 'show',
      words: '<host>',
      summary: 'all that is known of one host',
      run: async (call, [name = '']) => showHost(call, await findHost(call, name)),
    },
    {
      name: 'label',
      words: '<host> <changes...>',
      summary: 'set labels (K=V) and take labels away (K-)',
      run: async (call, [name = '', ...changes]) => labelHost(call, checkHostName(name), changes),
    },
    {
      name: 'remove',
      words: '<host>',
      summary: "end the host's session and its certificate at once",
      run: async (call, [name = '']) => {
        using fleet = await call.connect();
        await fleet.ask((answer) => fleet.client.removeHost({ name: checkHostName(name) }, answer));
        say(call, `host ${name} is removed`);
        return 0;
      },
    },
  ],
};

const hostListing: Listing<Host> = {
  nothing: 'no hosts yet: kompose tokens create --role agent, then kompose agent join TOKEN on the host',
  columns: [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'STATE', text: stateText },
    { title: 'LAST SEEN', text: ({ online, lastSeenUnixMs }) => (online ? 'now' : timeText(lastSeenUnixMs)) },
    { title: 'LABELS', text: ({ labels }) => labelsText(labels), wraps: true },
    { title: 'STACKS', text: ({ stacks }) => String(stacks) },
    { title: 'AGENT', text: ({ agentVersion }) => agentVersion },
  ],
  json: (host) => ({
    name: host.name,
    labels: host.labels,
    online: host.online,
    lastSeen: timeOrNull(host.lastSeenUnixMs),
    onlineSince: host.online ? timeOrNull(host.onlineSinceUnixMs) : null,
    stacks: host.stacks,
    agentVersion: host.agentVersion,
    joined: timeOrNull(host.joinedUnixMs),
    certificateExpires: timeOrNull(host.certificateNotAfterUnixMs),
    clockSkewMs: host.clockSkewMs,
  }),
};

/** With what is soon to end it. */
function stateText({ online, certificateNotAfterUnixMs: end }: Host): string {
  const state = online ? 'online' : 'offline';
  const leftMs = end - Date.now();
  if (leftMs > certificateNoticeMs) return state;
  const days = Math.floor(leftMs / 86_400_000);
  return leftMs <= 0 ? `${state}, certificate expired` : `${state}, certificate ends in ${days} days`;
}

async function findHost(call: Call, name: string): Promise<Host> {
  using fleet = await call.connect();
  const names: string[] = [];
  for await (const host of fleet.read(fleet.client.listHosts({}))) {
    if (host.name === name) return host;
    names.push(host.name);
  }
  const meant = nearest(name, names);
  const hint = meant.length === 0 ? 'see kompose hosts' : `did you mean ${meant.map(quoted).join(' or ')}?`;
  throw new KomposeError('not-found', `no host ${quoted(name)}: ${hint}`);
}

function showHost(call: Call, host: Host): number {
  return showFields(call, hostListing.json(host), [
    ['name', host.name],
    ['state', stateText(host)],
    ['last seen', timeText(host.lastSeenUnixMs)],
    ['online since', host.online ? timeText(host.onlineSinceUnixMs) : ''],
    ['labels', labelsText(host.labels)],
    ['stacks', String(host.stacks)],
    ['agent', host.agentVersion],
    ['joined', timeText(host.joinedUnixMs)],
    ['certificate', `until ${timeText(host.certificateNotAfterUnixMs)}`],
    ['clock', `${host.clockSkewMs} ms from the controller's`],
  ]);
}

/** `K=V` sets, `K-` takes away. */
async function labelHost(call: Call, name: string, changes: readonly string[]): Promise<number> {
  const remove = changes.filter(isRemoval).map((change) => checkLabelKey(change.slice(0, -1)));
  const labels = Object.fromEntries(changes.filter((change) => !isRemoval(change)).map(checkLabel));
  using fleet = await call.connect();
  const host = await fleet.ask<Host>((answer) => fleet.client.labelHost({ name, labels, remove }, answer));
  if (call.globals.output === 'json') return showHost(call, host);
  say(call, `host ${name}: ${labelsText(host.labels) || 'no labels'}`);
  return 0;
}

function isRemoval(change: string): boolean {
  return change.endsWith('-') && !change.includes('=');
}
