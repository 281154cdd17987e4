import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNoun, type NounInvocation } from '../../../cli/noun.ts';
import { audit } from '../../../cli/commands/audit.ts';
import { hosts } from '../../../cli/commands/hosts.ts';
import { runs } from '../../../cli/commands/runs.ts';
import { stacks } from '../../../cli/commands/stacks.ts';
import { tokens } from '../../../cli/commands/tokens.ts';
import { users } from '../../../cli/commands/users.ts';
import type { TypedGlobals } from '../../../cli/globals.ts';
import { assertUsageError } from '../common/usage-error.ts';

const none: TypedGlobals = { color: true };

function verbOf(asked: NounInvocation): NounInvocation & { kind: 'verb' } {
  return asked.kind === 'verb' ? asked : assert.fail('a text');
}

const verbs: readonly [noun: typeof hosts, args: string[], verb: string, words: string[]][] = [
  [hosts, [], 'ls', []],
  [hosts, ['--limit', '3'], 'ls', []],
  [hosts, ['ls'], 'ls', []],
  [hosts, ['show', 'prod-1'], 'show', ['prod-1']],
  [hosts, ['label', 'prod-1', 'env=prod', 'zone-'], 'label', ['prod-1', 'env=prod', 'zone-']],
  [runs, ['attach', '01J'], 'attach', ['01J']],
  [runs, ['retry', '01J', '-e', 'A=b', '--detach', '-y'], 'retry', ['01J']],
  [audit, ['show', '7'], 'show', ['7']],
  [users, ['add', 'ada', '--role', 'viewer'], 'add', ['ada']],
  [stacks, [], '', []],
  [stacks, ['prod-1:*'], '', ['prod-1:*']],
];
for (const [noun, args, verb, words] of verbs) {
  test(`reads kompose ${[noun.name, ...args].join(' ')}`, () => {
    const asked = verbOf(parseNoun(noun, args, none));
    assert.equal(asked.verb.name, verb);
    assert.deepEqual(asked.words, words);
  });
}

test('takes global options before the noun, before the verb and after it', () => {
  for (const [before, args] of [
    [{ color: true, output: 'json' }, ['ls']],
    [none, ['-o', 'json', 'ls']],
    [none, ['ls', '-o', 'json']],
    [none, ['-o', 'json']],
    [{ color: true, output: 'plain' }, ['-o', 'plain', 'ls', '-o', 'json']],
  ] as const) {
    assert.equal(verbOf(parseNoun(hosts, args, before)).globals.output, 'json');
  }
});

test('reads the options of tokens create', () => {
  const args = [
    'create',
    '--role',
    'agent',
    '--label',
    'a=b',
    '--label',
    'c=d',
    '--ttl',
    '1h',
    '--uses',
    '3',
  ];
  const { options } = verbOf(parseNoun(tokens, args, none));
  assert.partialDeepStrictEqual(options, { role: 'agent', label: ['a=b', 'c=d'], ttl: 3_600_000, uses: 3 });
});

const refused: readonly [noun: typeof hosts, args: string[], part: string][] = [
  [hosts, ['shwo', 'x'], 'hosts has no verb "shwo": did you mean show? (a stack of that name is :hosts)'],
  [hosts, ['up'], 'it has ls, show, label, remove'],
  [hosts, ['-o', 'json', 'up'], 'hosts has no verb "up"'],
  [hosts, ['show'], "missing required argument 'host'"],
  [hosts, ['show', 'a', 'b'], 'too many arguments'],
  [hosts, ['ls', '--limt', '3'], "unknown option '--limt' (Did you mean --limit?)"],
  [hosts, ['--limit', '0'], 'bad value "0" of --limit'],
  [runs, ['retry'], "missing required argument 'id'"],
  [runs, ['retry', '01J', '-e', 'A'], 'bad variable "A"'],
  [audit, ['verify', '--key', 'abc'], 'write the 64 hex digits'],
  [users, ['add', 'ada'], "required option '--role <role>' not specified"],
  [users, ['add', 'ada', '--role', 'agent'], 'agent is not a role that users can have'],
  [stacks, ['a', 'b'], 'too many arguments'],
  [tokens, ['create'], "required option '--role <role>' not specified"],
  [tokens, ['create', '--role', 'King'], 'bad role name "King"'],
  [tokens, ['create', '--role', 'agent', '--label', 'x'], 'bad label "x"'],
];
for (const [noun, args, part] of refused) {
  test(`refuses kompose ${[noun.name, ...args].join(' ')}`, () => {
    assertUsageError(() => parseNoun(noun, args, none), part);
  });
}

test('prints the help of a noun and of a verb', () => {
  const texts = [['--help'], ['create', '--help']].map((args) => parseNoun(tokens, args, none));
  assert.match(texts[0]?.kind === 'text' ? texts[0].text : '', /revoke/);
  assert.match(texts[1]?.kind === 'text' ? texts[1].text : '', /--ttl/);
});
