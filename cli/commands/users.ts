import { checkRoleName, checkUserName } from '../../common/names.ts';
import type { User } from '../../proto/gen/kompose/v1/fleet.ts';
import { say } from '../call.ts';
import type { Noun } from '../noun.ts';
import { createToken, ttlOption } from './tokens.ts';
import { valued } from '../options.ts';
import { limitOption, showListing, type Listing } from '../listing.ts';
import { timeOrNull, timeText } from '../output/values.ts';

export const users: Noun = {
  name: 'users',
  summary: 'Who may use the fleet.',
  verbs: [
    {
      name: 'ls',
      summary: 'list the users and their roles',
      isDefault: true,
      options: () => [limitOption()],
      run: (call, _, { limit }) => showListing(call, userListing, (client) => client.listUsers({}), limit),
    },
    {
      name: 'add',
      words: '<name>',
      summary: 'print a token, alone, on stdout, with which this user logs in (as tokens create --name)',
      options: () => [
        valued(
          '--role <role>',
          'what the user may do: a role of kompose roles',
          checkRoleName,
        ).makeOptionMandatory(),
        ttlOption(),
      ],
      run: async (call, [name = ''], options) => createToken(call, { ...options, name: checkUserName(name) }),
    },
    {
      name: 'role',
      words: '<name> <role>',
      summary: "change a user's role, at once, also for what is under way",
      run: async (call, [name = '', role = '']) => {
        using fleet = await call.connect();
        await fleet.roster.change(
          fleet,
          (roster) => {
            const isChanged = (roster.user(name)?.role ?? role) !== role;
            return isChanged ? { type: 'role', name, role } : undefined;
          },
          (rosterEntries) =>
            fleet.ask((answer) => fleet.client.setUserRole({ name, role, rosterEntries }, answer)),
        );
        say(call, `user ${name} has the role ${role} now`);
        return 0;
      },
    },
    {
      name: 'remove',
      words: '<name>',
      summary: "end the user's certificate at once",
      run: async (call, [name = '']) => {
        using fleet = await call.connect();
        await fleet.roster.change(
          fleet,
          (roster) => (roster.user(name) === undefined ? undefined : { type: 'remove', name }),
          (rosterEntries) => fleet.ask((answer) => fleet.client.removeUser({ name, rosterEntries }, answer)),
        );
        say(call, `user ${name} is removed`);
        return 0;
      },
    },
  ],
};

const userListing: Listing<User> = {
  nothing: 'no users',
  columns: [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'ROLE', text: ({ role }) => role },
    { title: 'SINCE', text: ({ createdUnixMs }) => timeText(createdUnixMs) },
    {
      title: 'CERTIFICATE UNTIL',
      text: ({ certificateNotAfterUnixMs }) => timeText(certificateNotAfterUnixMs),
    },
  ],
  json: (user) => ({
    name: user.name,
    role: user.role,
    created: timeOrNull(user.createdUnixMs),
    expires: timeOrNull(user.certificateNotAfterUnixMs),
  }),
};
