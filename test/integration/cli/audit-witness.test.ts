import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { AuditWitness } from '../../../cli/audit-witness.ts';
import { signKeyChange } from '../../../common/audit/key-change.ts';
import { keyFingerprint, signMark, type SignedMark } from '../../../common/audit/signed-head.ts';

const time = '2026-05-01T08:00:00.000Z';
const hash = 'ab'.repeat(32);
const newKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey;
const [first, second, thief] = [newKey(), newKey(), newKey()];

function fingerprintOf(key: KeyObject): string {
  return keyFingerprint(createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64'));
}

function head(key: KeyObject, seq: number): SignedMark {
  return signMark('head', { seq, hash, time, count: seq }, key);
}

/** A login that has seen a head of the first key at record 7, and where it keeps that. */
async function login(t: TestContext): Promise<{ witness: AuditWitness; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-witness-'));
  t.after(() => rm(folder, { recursive: true }));
  const witness = new AuditWitness(folder);
  witness.saw(head(first, 7));
  return { witness, folder };
}

test('a login follows its controller’s audit key by what that key has signed, and keeps the new one', async (t) => {
  const { witness, folder } = await login(t);
  assert.equal(witness.isBehind, false);
  witness.saw(head(second, 9));
  assert.deepEqual([witness.isBehind, witness.fingerprint], [true, fingerprintOf(first)]);
  witness.follow([signKeyChange({ seq: 7, hash }, time, first, second)]);
  witness.saw(head(second, 9));
  assert.deepEqual([witness.isBehind, witness.fingerprint], [false, fingerprintOf(second)]);
  const next = new AuditWitness(folder);
  assert.deepEqual([next.fingerprint, next.seen?.seq], [fingerprintOf(second), 9]);
});

test('a login does not follow to a key that the one it knows has not signed in, nor against what it has seen', async (t) => {
  const { witness, folder } = await login(t);
  witness.saw(head(thief, 9));
  const honest = signKeyChange({ seq: 7, hash }, time, first, second);
  const refused = {
    'another key’s': [signKeyChange({ seq: 7, hash }, time, thief, second)],
    'what another key signed in its name': [
      { ...signKeyChange({ seq: 7, hash }, time, thief, second), from: honest.from },
    ],
    'another new key under the same signatures': [{ ...honest, to: head(thief, 9).key }],
    'a change of before the head that the old key has signed': [
      signKeyChange({ seq: 6, hash }, time, first, second),
    ],
    'a change at another record than the one that was seen': [
      signKeyChange({ seq: 7, hash: 'cd'.repeat(32) }, time, first, second),
    ],
    nothing: [],
    nonsense: 'nonsense',
  };
  for (const [title, changes] of Object.entries(refused)) {
    witness.follow(changes);
    assert.deepEqual([witness.fingerprint, witness.isBehind], [fingerprintOf(first), true], title);
  }
  assert.equal(new AuditWitness(folder).fingerprint, fingerprintOf(first));
  assert.equal(new AuditWitness(folder).seen?.seq, 7);
});
