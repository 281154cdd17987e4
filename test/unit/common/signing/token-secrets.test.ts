import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  createSigningKey,
  isSignatureOf,
  signingKeyFromPem,
  signingKeyToPem,
  signText,
} from '../../../../common/signing/signing-key.ts';
import { rosterText, taskText } from '../../../../common/signing/signed-text.ts';
import { createTokenSeed, tokenSecrets } from '../../../../common/signing/token-secrets.ts';

describe('the seed of a token', () => {
  test('makes the same secret and key each time, and others from another', () => {
    const seed = createTokenSeed();
    const [one, same, other] = [tokenSecrets(seed), tokenSecrets(seed), tokenSecrets(createTokenSeed())];
    assert.deepEqual([one.secret, one.key.publicKey], [same.secret, same.key.publicKey]);
    assert.notEqual(one.secret, other.secret);
    assert.notEqual(one.key.publicKey, other.key.publicKey);
  });

  test('is not what the controller gets, nor does that make the key', () => {
    const seed = createTokenSeed();
    const { secret, key } = tokenSecrets(seed);
    assert.notEqual(secret, seed);
    assert.notEqual(tokenSecrets(secret).key.publicKey, key.publicKey);
  });
});

describe('a signing key', () => {
  test('is the same after a file', () => {
    const key = createSigningKey();
    assert.equal(signingKeyFromPem(signingKeyToPem(key)).publicKey, key.publicKey);
  });

  test('signs its text, and no other, and no other key’s', () => {
    const [key, other] = [createSigningKey(), createSigningKey()];
    const signature = signText(key, 'text');
    assert.equal(isSignatureOf(key.publicKey, 'text', signature), true);
    assert.equal(isSignatureOf(key.publicKey, 'Text', signature), false);
    assert.equal(isSignatureOf(other.publicKey, 'text', signature), false);
    assert.equal(isSignatureOf('no key', 'text', signature), false);
  });
});

test('a signature over a task says nothing about another task, host, stack or order, nor about the roster', () => {
  const order = Buffer.from('order');
  const target = { task: 'T', host: 'prod-1', stack: 'sexy' };
  const texts = [
    taskText(order, target),
    taskText(Buffer.from('Order'), target),
    taskText(order, { ...target, task: 'U' }),
    taskText(order, { ...target, host: 'prod-2' }),
    taskText(order, { ...target, stack: 'news' }),
    rosterText('order'),
  ];
  assert.equal(new Set(texts).size, texts.length);
});
