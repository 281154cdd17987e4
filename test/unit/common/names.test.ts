import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  checkCommand,
  checkEnvAssignment,
  checkHostName,
  checkLabel,
  checkStackName,
  checkUserName,
} from '../../../common/names.ts';
import { assertUsageError } from './usage-error.ts';

for (const [kind, check] of [
  ['host', checkHostName],
  ['user', checkUserName],
] as const) {
  describe(`the name of a ${kind}`, () => {
    for (const name of ['a', '9', 'prod-1', 'Prod_1.example.org', 'a'.repeat(63)]) {
      test(`may be ${name.slice(0, 20)}`, () => {
        assert.equal(check(name), name);
      });
    }
    const bad = [
      '',
      '-a',
      '.a',
      '_a',
      'a b',
      'a:b',
      'a,b',
      'a*',
      'a/b',
      'ä',
      'a\n',
      '..',
      'a'.repeat(64),
      '!a',
    ];
    for (const name of bad) {
      test(`cannot be ${JSON.stringify(name).slice(0, 20)}`, () => {
        assertUsageError(() => check(name), `bad ${kind} name "`, 'begin with a letter or digit');
      });
    }
  });
}

describe('a label', () => {
  const good: readonly [text: string, key: string, value: string][] = [
    ['env=prod', 'env', 'prod'],
    ['env=', 'env', ''],
    ['a=b=c', 'a', 'b=c'],
    ['org.example/a_b-c=x, y', 'org.example/a_b-c', 'x, y'],
    ['zone=Zürich', 'zone', 'Zürich'],
  ];
  for (const [text, key, value] of good) {
    test(`is parted at the first "=": ${text}`, () => {
      assert.deepEqual(checkLabel(text), [key, value]);
    });
  }
  const bad: readonly [text: string, part: string][] = [
    ['env', 'it has no "="; write "env=VALUE"'],
    ['', 'it has no "="'],
    ['=x', 'bad name of a label ""'],
    ['!a=x', 'bad name of a label "!a"'],
    ['a b=x', 'bad name of a label'],
    [`${'k'.repeat(64)}=x`, 'bad name of a label'],
    ['a=x\ny', 'bad value of a label "x\\ny"'],
    [`a=${'x'.repeat(256)}`, 'bad value of a label'],
  ];
  for (const [text, part] of bad) {
    test(`cannot be ${JSON.stringify(text).slice(0, 20)}: ${part}`, () => {
      assertUsageError(() => checkLabel(text), part);
    });
  }
});

describe('the name of a stack', () => {
  for (const name of [
    'sexy',
    'a b',
    'x:y',
    'a,b',
    '*',
    '{a}',
    '-a',
    'ä🐳',
    'a.',
    'a\\b',
    '~',
    'x'.repeat(255),
  ]) {
    test(`may be ${name.slice(0, 20)}`, () => {
      assert.equal(checkStackName(name), name);
    });
  }
  const bad = [
    '',
    '.',
    '..',
    '.git',
    'a/b',
    '/',
    '../a',
    'a\0',
    'a\nb',
    '\u007f',
    '\u0085',
    '\ud800',
    'é'.repeat(128),
  ];
  for (const name of bad) {
    test(`cannot be ${JSON.stringify(name).slice(0, 20)}`, () => {
      assertUsageError(() => checkStackName(name), 'bad stack name "');
    });
  }
});

describe('a variable of -e', () => {
  const good: readonly [text: string, name: string, value: string][] = [
    ['K=V', 'K', 'V'],
    ['K=', 'K', ''],
    ['_k1=a=b', '_k1', 'a=b'],
    ['K= x\ny ', 'K', ' x\ny '],
    ['__proto__=x', '__proto__', 'x'],
  ];
  for (const [text, name, value] of good) {
    test(`is parted at the first "=": ${JSON.stringify(text)}`, () => {
      assert.deepEqual(checkEnvAssignment(text), [name, value]);
    });
  }
  const bad: readonly [text: string, part: string][] = [
    ['K', 'bad variable "K": it has no "="; write -e NAME=VALUE'],
    ['', 'it has no "="'],
    ['=v', 'bad name of a variable ""'],
    ['1K=v', 'bad name of a variable "1K"'],
    ['A-B=v', 'bad name of a variable "A-B"'],
    ['A B=v', 'bad name of a variable "A B"'],
    ['Ä=v', 'bad name of a variable "Ä"'],
    ['K\n=v', 'bad name of a variable "K\\n"'],
    ['K=a\0b', 'bad value of the variable K: it holds a NUL'],
  ];
  for (const [text, part] of bad) {
    test(`cannot be ${JSON.stringify(text)}: ${part}`, () => {
      assertUsageError(() => checkEnvAssignment(text), part);
    });
  }

  test('never shows its value in an error', () => {
    for (const text of ['1K=hunter2', 'K=hunter2\0']) {
      assertUsageError(() => checkEnvAssignment(text), /^(?!.*hunter2)/);
    }
  });
});

describe('a command', () => {
  for (const word of ['up', 'db:export', 'a', 'A_1-b:c', 'docker-compose']) {
    test(`may be ${word}`, () => {
      assert.equal(checkCommand(word), word);
    });
  }
  for (const word of [
    '--profile',
    '-f',
    '1up',
    ':up',
    '_up',
    'up now',
    'up;ls',
    'up\n',
    '$(ls)',
    'ü',
    '../up',
  ]) {
    test(`cannot be ${JSON.stringify(word)}`, () => {
      assertUsageError(() => checkCommand(word), 'bad command "', 'global options', '-e COMPOSE_PROFILES=…');
    });
  }

  test('cannot be empty', () => {
    assertUsageError(() => checkCommand(''), 'the command is empty');
  });
});
