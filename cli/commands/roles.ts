import { jsonLine, printable } from '../../common/printable.ts';
import { Option } from 'commander';
import { KomposeError } from '../../common/errors.ts';
import { checkEnvAssignment } from '../../common/names.ts';
import { nearest } from '../../common/nearest.ts';
import { parsePattern } from '../../common/patterns.ts';
import { quoted } from '../../common/quoted.ts';
import { parseRuleSet } from '../../common/rules/rule-set.ts';
import type { Role, SetRoleResponse, TestedTarget } from '../../proto/gen/kompose/v1/fleet.ts';
import { say, type Call } from '../call.ts';
import { limitOption, showListing, showRows, type Listing } from '../listing.ts';
import type { Noun, VerbOptions } from '../noun.ts';
import { hostOption, labelFilterOption, repeated } from '../options.ts';
import { readText } from '../read-text.ts';

export const roles: Noun = {
  name: 'roles',
  summary: 'What users may do: admin, operator, viewer, and roles of your own.',
  verbs: [
    {
      name: 'ls',
      summary: 'list the roles and how many users have them',
      isDefault: true,
      options: () => [limitOption()],
      run: (call, _, { limit }) => showListing(call, roleListing, (client) => client.listRoles({}), limit),
    },
    {
      name: 'show',
      words: '<name>',
      summary: 'print the rules of a role, as roles set -f reads them',
      run: (call, [name = '']) => showRole(call, name),
    },
    {
      name: 'set',
      words: '<name>',
      summary: 'make a role, or give it other rules; takes effect at once',
      options: () => [
        repeated('--allow <rule>', "'PATTERN COMMANDS [LABEL...]': '*:web up,ps,logs env=test'", anyText),
        repeated('--deny <rule>', 'the same; a deny wins over every allow', anyText),
        new Option('--allow-env <names>', 'what -e may set: globs, comma lists (all harmless ones)'),
        new Option('-f, --file <file>', 'the rules, one a line: allow …, deny …, env NAMES; - is stdin'),
      ],
      run: (call, [name = ''], options) => setRole(call, name, options),
    },
    {
      name: 'remove',
      words: '<name>',
      summary: 'remove a role that nobody has',
      run: async (call, [name = '']) => {
        using fleet = await call.connect();
        await fleet.ask((answer) => fleet.client.removeRole({ name }, answer));
        say(call, `role ${name} is removed`);
        return 0;
      },
    },
    {
      name: 'test',
      words: '<words...>',
      summary:
        "USER '<pattern> <command> [args]': what would be allowed, by which rule; 1 if something is not",
      options: () => [
        new Option('--role <role>', 'test a role; no USER then'),
        hostOption(),
        labelFilterOption(),
        repeated('-e, --env-name <name>', 'with this variable set; repeatable', checkVariable),
      ],
      run: testRole,
    },
  ],
};

function anyText(): void {}

function checkVariable(text: string): void {
  checkEnvAssignment(text.includes('=') ? text : `${text}=`);
}

const roleListing: Listing<Role> = {
  nothing: 'no roles',
  columns: [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'USERS', text: ({ users }) => String(users) },
    { title: 'RULES', text: ({ rules }) => rules.replaceAll('\n', '; '), wraps: true },
  ],
  json: ({ name, rules, users, builtIn }) => ({ name, builtIn, users, rules: rules.split('\n') }),
};

async function showRole(call: Call, name: string): Promise<number> {
  using fleet = await call.connect();
  const names: string[] = [];
  for await (const role of fleet.read(fleet.client.listRoles({}))) {
    names.push(role.name);
    if (role.name !== name) continue;
    const isJson = call.globals.output === 'json';
    call.terminal.stdout(
      isJson
        ? `${jsonLine(roleListing.json(role))}\n`
        : `${role.rules.split('\n').map(printable).join('\n')}\n`,
    );
    return 0;
  }
  const [meant] = nearest(name, names, 1);
  const hint = meant === undefined ? 'see kompose roles' : `did you mean ${quoted(meant)}?`;
  throw new KomposeError('not-found', `there is no role ${quoted(name)}: ${hint}`);
}

async function setRole(call: Call, name: string, options: VerbOptions): Promise<number> {
  const rules = await rulesOf(call, options);
  parseRuleSet(rules, { of: 'role' });
  using fleet = await call.connect();
  const request = { name, rules };
  const { created } = await fleet.ask<SetRoleResponse>((answer) => fleet.client.setRole(request, answer));
  say(call, `role ${name} is ${created ? 'made' : 'changed'}`);
  return 0;
}

/** The lines of the file, then those of the options. */
async function rulesOf(call: Call, { file, allow = [], deny = [], allowEnv }: VerbOptions): Promise<string> {
  const typed = [
    ...allow.map((rule) => `allow ${rule}`),
    ...deny.map((rule) => `deny ${rule}`),
    ...(allowEnv === undefined ? [] : [`env ${allowEnv}`]),
  ];
  if (file === undefined && typed.length === 0) {
    const message = "a role is made of rules: --allow 'PATTERN COMMANDS', --deny, --allow-env, or -f FILE";
    throw new KomposeError('usage', message);
  }
  const written = file === undefined ? [] : [await readText(file, call.terminal)];
  return [...written, ...typed].join('\n');
}

async function testRole(call: Call, typed: readonly string[], options: VerbOptions): Promise<number> {
  const { role = '', host = [], label = [], envName = [] } = options;
  const [user, words] = role === '' ? [typed[0] ?? '', typed.slice(1)] : ['', typed];
  const [pattern, command, ...args] = words.length === 1 ? (words[0] ?? '').trim().split(/\s+/) : words;
  if (pattern === undefined || command === undefined) {
    throw new KomposeError(
      'usage',
      "write what to test: kompose roles test USER '<pattern> <command> [args]'",
    );
  }
  parsePattern(pattern);
  const filter = { hosts: [...host], labels: [...label] };
  const request = { user, role, pattern, command, args, filter, envNames: envName.map(nameOf) };
  using fleet = await call.connect();
  const found: TestedTarget[] = [];
  for await (const target of fleet.read(fleet.client.testRole(request))) found.push(target);
  await showRows(call, testListing, inOrder(found));
  return found.every(({ allowed }) => allowed) ? 0 : 1;
}

function nameOf(variable: string): string {
  return variable.split('=')[0] ?? '';
}

async function* inOrder<Row>(rows: readonly Row[]): AsyncGenerator<Row> {
  yield* rows;
}

const testListing: Listing<TestedTarget> = {
  nothing: 'nothing matches',
  columns: [
    { title: 'HOST', text: ({ host }) => host },
    { title: 'STACK', text: ({ stack }) => stack },
    { title: 'ALLOWED', text: ({ allowed }) => (allowed ? 'yes' : 'no') },
    { title: 'BECAUSE', text: ({ allowed, rule, reason }) => (allowed ? rule : reason), wraps: true },
  ],
  json: ({ host, stack, allowed, rule, reason }) => ({
    host,
    stack,
    allowed,
    rule: rule === '' ? null : rule,
    ...(allowed ? {} : { reason }),
  }),
};
