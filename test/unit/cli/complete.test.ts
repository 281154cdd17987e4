import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keptByBash } from '../../../cli/complete/complete.ts';
import { candidatesOf, type Live } from '../../../cli/complete/completion.ts';
import { scripts } from '../../../cli/complete/scripts.ts';
import { shellWords } from '../../../cli/complete/shell-words.ts';
import { whatToComplete } from '../../../cli/complete/what-to-complete.ts';

const lines: readonly [line: string, words: string[]][] = [
  ['kompose ', ['kompose', '']],
  ['kompose  prod-1:s', ['kompose', 'prod-1:s']],
  ['kompose "prod-*:{a', ['kompose', 'prod-*:{a']],
  [`kompose -e 'A=b c' "" x`, ['kompose', '-e', 'A=b c', '', 'x']],
  [String.raw`kompose a\ b "c\"d"`, ['kompose', 'a b', 'c"d']],
];
for (const [line, words] of lines) {
  test(`splits ${line}`, () => assert.deepEqual(shellWords(line), words));
}

const places: readonly [words: string[], live: Live | undefined, offered: string[]][] = [
  [['ho'], { kind: 'targets' }, ['hosts']],
  [['a,!b'], { kind: 'targets' }, []],
  [['--off'], undefined, ['--offline']],
  [['-H', 'prod-1,pr'], { kind: 'hosts' }, []],
  [['-L', 'e'], { kind: 'labels' }, []],
  [['-o', 'j'], undefined, ['json']],
  [['--context', ''], { kind: 'contexts' }, []],
  [['--offline', 's'], undefined, ['skip']],
  [['-e', 'A=b', '--timeout=3s', 'sexy', 'res'], undefined, ['restart']],
  [['sexy', 'db:'], undefined, ['db:cleanup', 'db:export', 'db:import']],
  [['sexy', 'logs', ''], { kind: 'services', pattern: 'sexy' }, []],
  [['sexy', 'logs', '-f', 'w'], { kind: 'services', pattern: 'sexy' }, []],
  [['sexy', 'version', ''], undefined, []],
  [['hosts', ''], undefined, ['label', 'ls', 'remove', 'show']],
  [['-o', 'json', 'hosts', 'show', ''], { kind: 'hosts' }, []],
  [['runs', 'retry', ''], { kind: 'runs' }, []],
  [['runs', 'retry', '--det'], undefined, ['--detach']],
  [['runs', 'retry', '-e', 'A=b', '01'], { kind: 'runs' }, []],
  [['tokens', 'revoke', ''], { kind: 'tokens' }, []],
  [['users', 'remove', ''], { kind: 'users' }, []],
  [['users', 'add', ''], undefined, []],
  [['users', 'add', 'ada', '--role', ''], { kind: 'roles' }, []],
  [['users', 'role', 'ada', ''], { kind: 'roles' }, []],
  [['stacks', '-H', 'p'], { kind: 'hosts' }, []],
  [['stacks', 'p'], { kind: 'targets' }, []],
  [['completion', ''], undefined, ['bash', 'fish', 'zsh']],
  [['agent', 'd'], undefined, ['doctor']],
];
for (const [words, live, offered] of places) {
  test(`knows what may stand at the end of kompose ${words.join(' ')}`, async () => {
    const completion = await whatToComplete(words);
    assert.deepEqual(completion.live, live);
    assert.deepEqual(candidatesOf(completion, []).toSorted(), offered);
  });
}

test('keeps the terms of a list that are typed already', async () => {
  const completion = await whatToComplete(['-H', 'prod-1,!st']);
  assert.deepEqual(candidatesOf(completion, ['prod-2', 'stage']), ['prod-1,!stage']);
});

test('remembers the options that choose hosts and the controller', async () => {
  const { options } = await whatToComplete(['-H', 'a', '--host=b', '--context', 'c', 'sexy', 'logs', '']);
  assert.deepEqual(Object.fromEntries(options), { '--host': ['a', 'b'], '--context': ['c'] });
});

test('offers no name that would end its line', async () => {
  assert.deepEqual(candidatesOf(await whatToComplete(['']), ['a\nb', 'ok']).includes('a\nb'), false);
});

const pieces: readonly [piece: string, typed: string, kept: number][] = [
  ['se', 'prod-1:se', 7],
  [':', 'prod-1:', 7],
  ['', '', 0],
  ['prod-1:se', 'prod-1:se', 0],
  ['"prod-1:se', 'prod-1:se', 0],
  ['=', '--host=', 7],
];
for (const [piece, typed, kept] of pieces) {
  test(`leaves ${kept} characters of ${typed} to bash where it replaces ${piece}`, () => {
    assert.equal(keptByBash(piece, typed), kept);
  });
}

test('has a script for each shell that hands the line on and shows no error', () => {
  for (const [shell, script] of Object.entries(scripts)) {
    assert.match(script, new RegExp(`kompose __complete ${shell} .*2>/dev/null`));
    assert.ok(!script.includes('undefined'));
  }
});
