import { jsonLine, printable } from '../../common/printable.ts';
import type { Option } from 'commander';
import { KomposeError } from '../../common/errors.ts';
import { parseDuration } from '../../common/durations.ts';
import { checkHostName, checkLabel, checkRoleName, checkUserName } from '../../common/names.ts';
import {
  createTokenSeed,
  defaultTokenLifeMs,
  hashSecret,
  tokenSecrets,
} from '../../common/signing/token-secrets.ts';
import { formatToken } from '../../proto/enrolment-token.ts';
import type { CreateTokenResponse, Token } from '../../proto/gen/kompose/v1/fleet.ts';
import { say, type Call } from '../call.ts';
import type { Fleet } from '../client.ts';
import type { Noun, VerbOptions } from '../noun.ts';
import { parseCount, repeated, valued } from '../options.ts';
import { limitOption, showListing, type Listing } from '../listing.ts';
import { labelsText, timeOrNull, timeText } from '../output/values.ts';

export const tokens: Noun = {
  name: 'tokens',
  summary: 'Invitations: a host joins and a user logs in with one.',
  verbs: [
    {
      name: 'create',
      summary: 'print a new token, alone, on stdout',
      options: () => [
        valued(
          '--role <role>',
          'what it makes: agent, or a role of kompose roles',
          checkTokenRole,
        ).makeOptionMandatory(),
        repeated('--label <k=v>', 'bound to the host that joins with it; repeatable', checkLabel),
        ttlOption(),
        valued('--uses <n>', 'how often it can be used (once)', parseCount('--uses', 1)),
        valued('--name <name>', 'of the user who logs in with it', checkUserName),
        valued('--replace <host>', 'of an agent: this host may join again with it, no other', checkHostName),
      ],
      run: (call, _, options) => createToken(call, options),
    },
    {
      name: 'ls',
      summary: 'list the tokens that can still be used',
      isDefault: true,
      options: () => [limitOption()],
      run: (call, _, { limit }) => showListing(call, tokenListing, (client) => client.listTokens({}), limit),
    },
    {
      name: 'revoke',
      words: '<id>',
      summary: 'make a token useless at once',
      run: async (call, [id = '']) => {
        using fleet = await call.connect();
        await revokeToken(fleet, id);
        say(call, `token ${id} is revoked`);
        return 0;
      },
    },
  ],
};

function checkTokenRole(role: string): string {
  return role === 'agent' ? role : checkRoleName(role);
}

export function ttlOption(): Option {
  const description = 'how long it can be used (one day for agents, one hour for users)';
  return valued('--ttl <duration>', description, parseDuration);
}

/** Prints a new token, alone, on stdout. Gives the exit code. */
export async function createToken(
  call: Call,
  { role = '', label = [], ttl, uses = 0, name = '', replace = '' }: VerbOptions,
): Promise<number> {
  if (ttl === 0) throw new KomposeError('usage', 'a token with --ttl 0 could never be used');
  const labels = Object.fromEntries(label.map(checkLabel));
  const seed = createTokenSeed();
  const { secret, key } = tokenSecrets(seed);
  const isUsers = role !== 'agent';
  const request = { role, labels, ttlMs: ttl ?? 0, uses, name, replaces: replace };
  const made = { ...request, secretHash: hashSecret(secret), key: isUsers ? key.publicKey : '' };
  using fleet = await call.connect();
  const invite = {
    type: 'invite',
    key: key.publicKey,
    user: name,
    role,
    uses: uses || 1,
    until: Date.now() + (ttl ?? defaultTokenLifeMs(role)),
  } as const;
  const { id, addresses, caFingerprint } = await fleet.roster.change(
    fleet,
    () => (isUsers ? invite : undefined),
    (rosterEntries) =>
      fleet.ask<CreateTokenResponse>((answer) =>
        fleet.client.createToken({ ...made, rosterEntries }, answer),
      ),
  );
  const user = isUsers ? name || `${role}-*` : '';
  const token = formatToken({ addresses, caFingerprint, seed, root: fleet.roster.root, user });
  if (call.globals.output === 'json') call.terminal.stdout(`${jsonLine({ token, id, role, name })}\n`);
  else call.terminal.stdout(`${printable(token)}\n`);
  return 0;
}

/** The roster's invite goes with it, if it is open still. */
async function revokeToken(fleet: Fleet, id: string): Promise<void> {
  let key = '';
  for await (const token of fleet.read(fleet.client.listTokens({}))) if (token.id === id) ({ key } = token);
  await fleet.roster.change(
    fleet,
    (roster) => (roster.invite(key) === undefined ? undefined : { type: 'withdraw', key }),
    (rosterEntries) => fleet.ask((answer) => fleet.client.revokeToken({ id, rosterEntries }, answer)),
  );
}

const tokenListing: Listing<Token> = {
  nothing: 'no tokens',
  columns: [
    { title: 'ID', text: ({ id }) => id },
    { title: 'ROLE', text: ({ role }) => role },
    { title: 'NAME', text: ({ name, replaces }) => name || replaces },
    { title: 'LABELS', text: ({ labels }) => labelsText(labels), wraps: true },
    { title: 'USES LEFT', text: ({ usesLeft }) => String(usesLeft) },
    { title: 'EXPIRES', text: ({ expiresUnixMs }) => timeText(expiresUnixMs) },
    { title: 'BY', text: ({ createdBy }) => createdBy },
  ],
  json: (token) => ({
    id: token.id,
    role: token.role,
    name: token.name,
    ...(token.replaces === '' ? {} : { replaces: token.replaces }),
    labels: token.labels,
    usesLeft: token.usesLeft,
    expires: timeOrNull(token.expiresUnixMs),
    createdBy: token.createdBy,
  }),
};
