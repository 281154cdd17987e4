import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { SentScripts } from '../../../../agent/tasks/sent-scripts.ts';
import { Masker } from '../../../../common/redaction/masker.ts';

const masker = new Masker(['hunter22']);

function script(text: string) {
  return { sha256: createHash('sha256').update(text).digest('hex'), bytes: Buffer.from(text) };
}

test('a script’s text is told once, masked, and its digest always', () => {
  const sent = new SentScripts();
  const ran = script('curl -u me:hunter22\nexport API_KEY=literal1\n');
  const first = sent.tell(ran, masker);
  assert.equal(first?.text, 'curl -u me:[redacted]\nexport API_KEY=[redacted]\n');
  assert.equal(first?.textSha256, createHash('sha256').update(first.text).digest('hex'));
  assert.deepEqual(sent.tell(ran, masker), { textSha256: first.textSha256 });
  assert.notEqual(sent.tell(script('other'), masker)?.text, undefined);
  sent.forget();
  assert.deepEqual(sent.tell(ran, masker), first);
});

test('the same file in two stacks hides the secrets of each', () => {
  const sent = new SentScripts();
  const ran = script('login of-news of-shop\n');
  assert.equal(sent.tell(ran, new Masker(['of-news']))?.text, 'login [redacted] of-shop\n');
  assert.equal(sent.tell(ran, new Masker(['of-shop']))?.text, 'login of-news [redacted]\n');
});

test('of a long script the beginning is kept, and that says so', () => {
  const text = new SentScripts().tell(script('# line\n'.repeat(50_000)), masker)?.text ?? '';
  assert.match(text.slice(256 * 1024), /^\n# kompose: 87856 more bytes are not kept\n$/);
});

test('a script that cannot be read is told of by its digest alone', () => {
  assert.equal(new SentScripts().tell({ sha256: 'ab' }, masker), undefined);
});
