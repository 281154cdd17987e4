import { jsonLine, printable } from '../../common/printable.ts';
import type { Option } from 'commander';
import { KomposeError } from '../../common/errors.ts';
import { parseDuration } from '../../common/durations.ts';
import { checkHostName, checkLabel, checkRoleName, checkUserName } from '../../common/names.ts';
import type { CreateTokenResponse, Token } from '../../proto/gen/kompose/v1/fleet.ts';
import { say, type Call } from '../call.ts';
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
        await fleet.ask((answer) => fleet.client.revokeToken({ id }, answer));
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
  const request = { role, labels, ttlMs: ttl ?? 0, uses, name, replaces: replace };
  using fleet = await call.connect();
  const made = await fleet.ask<CreateTokenResponse>((answer) => fleet.client.createToken(request, answer));
  const { token, id } = made;
  if (call.globals.output === 'json')
    call.terminal.stdout(`${jsonLine({ token, id, role, name: made.name })}\n`);
  else call.terminal.stdout(`${printable(token)}\n`);
  return 0;
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
