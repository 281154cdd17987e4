import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseArguments } from '../../../cli/program.ts';
import { KomposeError } from '../../../common/errors.ts';
import { mergeGlobals } from '../../../cli/globals.ts';
import { plainRun, type ListOrder, type RunOrder } from '../../../cli/order.ts';
import { assertUsageError } from '../common/usage-error.ts';

function order(...argv: string[]): RunOrder {
  const asked = parseArguments(argv, '1.2.3');
  assert.equal(asked.kind, 'run');
  return asked.kind === 'run' ? asked.order : assert.fail();
}

const plain: RunOrder = {
  pattern: 'sexy',
  command: 'up',
  args: [],
  hosts: [],
  labels: [],
  env: {},
  network: undefined,
  isDryRun: false,
  timeoutMs: 0,
  rollout: { parallel: 0, batch: undefined, batchWaitMs: 0, maxFailures: undefined },
  offline: 'fail',
  isDetached: false,
  isRaw: false,
  isConfirmed: false,
};

const runs: readonly [argv: string[], expected: Partial<RunOrder>][] = [
  [['sexy', 'up'], {}],
  [['sexy', 'up', '-d', '--wait'], { args: ['-d', '--wait'] }],
  [[':hosts', 'up'], { pattern: ':hosts' }],
  [['prod-*:{a,b},!x', 'up'], { pattern: 'prod-*:{a,b},!x' }],
  [['-H', 'prod-1', '--host=prod-2,!x', 'sexy', 'up'], { hosts: ['prod-1', 'prod-2,!x'] }],
  [['-L', 'env=prod', '-Lzone', 'sexy', 'up'], { labels: ['env=prod', 'zone'] }],
  [['-e', 'A=b=c', '-e', 'B=', '-e', 'A=2', 'sexy', 'up'], { env: { A: '2', B: '' } }],
  [['--network', 'net', 'sexy', 'up'], { network: 'net' }],
  [['--timeout', '1m30s', 'sexy', 'up'], { timeoutMs: 90_000 }],
  [['--raw', 'sexy', 'up'], { isRaw: true }],
  [['--detach', '-y', 'sexy', 'up'], { isDetached: true, isConfirmed: true }],
  [['-n', 'sexy', 'up', '-n'], { isDryRun: true, args: ['-n'] }],
  [['--dry-run', 'sexy', 'up'], { isDryRun: true }],
  [['sexy', 'up', '--dry-run', '-d'], { isDryRun: true, args: ['-d'] }],
  [['sexy', 'up', '-d', '--', '--dry-run'], { args: ['-d', '--', '--dry-run'] }],
  [
    ['sexy', 'exec', '--dry-run', '--', 'ls', '--'],
    { command: 'exec', isDryRun: true, args: ['--', 'ls', '--'] },
  ],
  [
    ['sexy', 'exec', 'web', '--help', '-V', '-q', ''],
    { command: 'exec', args: ['web', '--help', '-V', '-q', ''] },
  ],
  [['--offline', 'fail', 'sexy', 'up'], {}],
  [['--offline', 'skip', 'sexy', 'up'], { offline: 'skip' }],
  [['--offline', 'wait=2m', 'sexy', 'up'], { offline: { waitMs: 120_000 } }],
  [
    ['--parallel', '3', '--batch', '50%', '--batch-wait', '5', '--max-failures', '0', 'sexy', 'up'],
    {
      rollout: {
        parallel: 3,
        batch: { count: 50, isPercent: true },
        batchWaitMs: 5000,
        maxFailures: { count: 0, isPercent: false },
      },
    },
  ],
  [['-o', 'auto', 'sexy', 'up'], {}],
  [['--', 'sexy', 'up', '--', 'x'], { args: ['--', 'x'] }],
];
for (const [argv, expected] of runs) {
  test(`reads ${JSON.stringify(argv)}`, () => {
    assert.deepEqual(order(...argv), { ...plain, ...expected });
  });
}

test('passes every argument after the command byte for byte', () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom('--', '-h', '--help', '-o', '--output', '-n', '-', '', '-V', '-e'),
  );
  fc.assert(
    fc.property(fc.array(word), (args) => {
      const end = args.indexOf('--');
      const expected = args.filter((arg, index) => arg !== '--dry-run' || (end >= 0 && index > end));
      assert.deepEqual(order('sexy', 'exec', ...args).args, expected);
    }),
  );
});

const lists: readonly [argv: string[], expected: ListOrder][] = [
  [['-l'], { pattern: '', hosts: [], labels: [] }],
  [['--list', 'prod-1:*'], { pattern: 'prod-1:*', hosts: [], labels: [] }],
  [
    ['-l', '-H', 'prod-1', '-L', 'env=prod', 'sexy'],
    { pattern: 'sexy', hosts: ['prod-1'], labels: ['env=prod'] },
  ],
];
for (const [argv, expected] of lists) {
  test(`lists with ${JSON.stringify(argv)}`, () => {
    const asked = parseArguments(argv, '1.2.3');
    assert.deepEqual(asked.kind === 'list' && asked.order, expected);
  });
}

test('takes a first word that is a noun as that noun, with the rest as it stands', () => {
  const asked = parseArguments(['-o', 'json', '-q', 'runs', 'show', '--limit', '-x'], '1.2.3');
  assert.equal(asked.kind, 'noun');
  if (asked.kind !== 'noun') return;
  assert.equal(asked.noun, 'runs');
  assert.deepEqual(asked.args, ['show', '--limit', '-x']);
  assert.deepEqual(mergeGlobals([asked.globals]), {
    output: 'json',
    quiet: true,
    color: true,
    controller: undefined,
    context: undefined,
  });
});

test('does not take the properties that every object has for nouns', () => {
  assert.equal(order('constructor', 'up').pattern, 'constructor');
});

test('prints the version and the help as text', () => {
  assert.deepEqual(parseArguments(['-V'], '1.2.3'), { kind: 'text', text: '1.2.3\n' });
  const help = parseArguments(['--help'], '1.2.3');
  assert.match(help.kind === 'text' ? help.text : '', /--dry-run[\s\S]*tokens {2}/);
});

const refused: readonly [argv: string[], part: string][] = [
  [[], 'nothing to do'],
  [['sexy'], 'no command for "sexy"'],
  [['host'], 'did you mean kompose hosts?'],
  [['sexy', ''], 'the command is empty'],
  [['sexy', '--host', 'x'], 'options of kompose stand before the pattern'],
  [['sexy', '-f'], 'options of kompose stand before the pattern'],
  [['sexy', '1up'], 'bad command "1up"'],
  [['', 'up'], 'bad pattern ""'],
  [['a,,b', 'up'], 'bad pattern "a,,b"'],
  [['-l', '{a'], 'bad pattern "{a"'],
  [['--hosst', 'x', 'sexy', 'up'], "unknown option '--hosst' (Did you mean --host?)"],
  [['sexy', 'db:exprot'], 'did you mean db:export?'],
  [['sexy', 'db:export', '--frmat', 'sql.gz'], 'db:export does not know "--frmat"'],
  [['--parallel', '0', 'sexy', 'up'], 'bad value "0" of --parallel'],
  [['--batch', '101%', 'sexy', 'up'], 'bad value "101%" of --batch'],
  [['--batch-wait', '1x', 'sexy', 'up'], 'bad duration "1x"'],
  [['--max-failures', '-1', 'sexy', 'up'], 'bad value "-1" of --max-failures'],
  [['--offline', 'maybe', 'sexy', 'up'], 'bad value "maybe" of --offline'],
  [['--offline', 'wait=1y', 'sexy', 'up'], 'bad duration "1y"'],
  [['-o', 'xml', 'sexy', 'up'], 'bad value "xml" of --output'],
  [['-e', 'A', 'sexy', 'up'], 'bad variable "A"'],
  [['-e', '1=2', 'sexy', 'up'], 'bad name of a variable "1"'],
  [['-L', '=x', 'sexy', 'up'], 'bad'],
  [['-H', '[', 'sexy', 'up'], 'bad'],
  [['--timeout', 'soon', 'sexy', 'up'], 'bad duration "soon"'],
  [['--network', '', 'sexy', 'up'], 'bad value "" of --network'],
  [['--timeout'], "option '--timeout <duration>' argument missing"],
  [['config', 'up'], 'a stack of that name is :config'],
  [['-n', 'hosts'], '--dry-run does not go with the noun "hosts"; a stack of that name is :hosts'],
  [['-l', 'runs'], '--list does not go with the noun "runs"'],
  [['--batch-wait', '1s', 'runs'], '--batch-wait does not go with the noun'],
  [['-H', 'x', 'runs'], '--host and --label before a noun go with "stacks" only'],
];
for (const [argv, part] of refused) {
  test(`refuses ${JSON.stringify(argv)} in one line`, () => {
    assertUsageError(() => parseArguments(argv, '1.2.3'), part);
  });
}

test('takes words without an option before the pattern for what they are with all options looked for', () => {
  const word = fc.constantFrom(
    'app',
    'prod-*:app',
    '',
    'ps',
    'up',
    '-d',
    '--dry-run',
    '--',
    '--help',
    'db:export',
    'hosts',
  );
  const outcome = (read: () => unknown): unknown => {
    try {
      return read();
    } catch (error) {
      return KomposeError.from(error).message;
    }
  };
  let count = 0;
  fc.assert(
    fc.property(fc.array(word, { maxLength: 5 }), fc.boolean(), (argv, knowsNouns) => {
      const quick = outcome(() => plainRun(argv, knowsNouns));
      if (quick === undefined) return;
      count++;
      assert.deepEqual(
        quick,
        outcome(() => parseArguments(argv, '1', knowsNouns)),
      );
    }),
    { numRuns: 500 },
  );
  assert.ok(count > 100);
});
