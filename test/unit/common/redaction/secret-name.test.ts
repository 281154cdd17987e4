import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSecretName, secretValues } from '../../../../common/redaction/secret-name.ts';

const words = [
  'PASSWORD',
  'PASSWD',
  'PASSPHRASE',
  'SECRET',
  'TOKEN',
  'KEY',
  'CREDENTIAL',
  'DSN',
  'DATABASE_URL',
  'PRIVATE',
];

test('each word makes a name secret, alone, as a part, at the end of a part, in the plural and in any case', () => {
  for (const word of words) {
    const names = [word, `APP_${word}`, `${word}_FILE`, `A_${word}_B`, `PG${word}`, `X_PG${word}_B`];
    for (const name of names.flatMap((each) => [each, each.toLowerCase(), each.replace(word, `${word}S`)])) {
      assert.equal(isSecretName(name), true, name);
    }
  }
});

test('a word at the start or in the middle of a part does not', () => {
  for (const word of words) {
    for (const name of [`${word}BOARD`, `X_${word}ISH`, `${word}X_Y`, `${word}SS`]) {
      assert.equal(isSecretName(name), false, name);
    }
  }
});

test('PWD is a secret only after an underscore', () => {
  for (const name of ['DB_PWD', 'db_pwd', 'DB_PWD_OLD', '_PWD']) assert.equal(isSecretName(name), true, name);
  for (const name of ['PWD', 'OLDPWD', 'PWD_FILE', 'DB_PWDX']) assert.equal(isSecretName(name), false, name);
});

test('names at the edge of the rule', () => {
  for (const name of ['PGPASSWORD', 'APIKEY', 'apiKey', 'MONKEY', 'AWS_SECRET_ACCESS_KEY', 'SENTRY_DSN']) {
    assert.equal(isSecretName(name), true, name);
  }
  for (const name of ['', 'PATH', 'KEYBOARD', 'DATABASE', 'DATABASE_URLX', 'TOKENIZER', 'PASS', 'USER']) {
    assert.equal(isSecretName(name), false, name);
  }
});

test('the secret values of an environment are those of its secret names', () => {
  assert.deepEqual(secretValues({ PATH: '/bin', DB_PWD: 'one', API_KEYS: 'two', TOKEN: undefined }), [
    'one',
    'two',
  ]);
});
