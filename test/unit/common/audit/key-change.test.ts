import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  chainStart,
  hashRecord,
  recordLine,
  recordText,
  type ChainEnd,
} from '../../../../common/audit/chain.ts';
import {
  AuditKeys,
  parseKeyChanges,
  signKeyChange,
  type KeyChange,
} from '../../../../common/audit/key-change.ts';
import { keyFingerprint, signMark, type SignedMark } from '../../../../common/audit/signed-head.ts';
import {
  headType,
  keyChangeType,
  linesOf,
  verifyChain,
  type Trust,
} from '../../../../common/audit/verify-chain.ts';

const time = '2026-05-01T08:00:00.000Z';
const newKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey;
const [first, second, third, thief] = [newKey(), newKey(), newKey(), newKey()];

function fingerprintOf(key: KeyObject): string {
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return keyFingerprint(der.toString('base64'));
}

/** A chain under construction, as a controller writes it. */
class Chain {
  readonly lines: string[] = [];
  readonly ends: ChainEnd[] = [];
  readonly changes: KeyChange[] = [];

  get end(): ChainEnd {
    return this.ends.at(-1) ?? chainStart;
  }

  add(fields: object = { type: 'run.started', time }): this {
    const record = recordText(this.end, fields);
    const hash = hashRecord(record);
    this.ends.push({ seq: this.end.seq + 1, hash });
    this.lines.push(recordLine({ record, hash }));
    return this;
  }

  change(before: KeyObject, next: KeyObject, keyChange = signKeyChange(this.end, time, before, next)): this {
    this.changes.push(keyChange);
    return this.add({ type: keyChangeType, time, keyChange });
  }

  head(key: KeyObject, { seq, hash } = this.end): SignedMark {
    return signMark('head', { seq, hash, time, count: seq }, key);
  }

  last(key: KeyObject, more: object = {}): string {
    return JSON.stringify({ type: headType, ...this.head(key), keys: this.changes, ...more });
  }
}

async function verify(lines: readonly string[], key: KeyObject, trust: Partial<Trust> = {}) {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(lines.map((line) => `${line}\n`).join(''));
  }
  const fingerprint = fingerprintOf(key);
  return (await verifyChain(linesOf(bytes()), { fingerprint, seen: undefined, isLive: true, ...trust })).bad;
}

/** Two records by the first key, two by the second, one by the third; the changes are records 3 and 6. */
function twice(): Chain {
  return new Chain().add().add().change(first, second).add().add().change(second, third).add();
}

describe('a chain whose key was changed', () => {
  test('is whole for whoever knows any of its keys', async () => {
    const chain = twice();
    for (const key of [first, second, third])
      assert.equal(await verify([...chain.lines, chain.last(third)], key), undefined);
  });

  test('is whole for whoever has seen a head of the key before', async () => {
    const chain = twice();
    const seen = chain.head(first, chain.ends[1]);
    assert.equal(await verify([...chain.lines, chain.last(third)], second, { seen }), undefined);
    const other = new Chain().add({ type: 'run.started', time, other: true }).add();
    const bad = await verify([...chain.lines, chain.last(third)], second, { seen: other.head(first) });
    assert.equal(bad?.seq, 2);
  });

  test('is none of a stranger’s', async () => {
    const chain = twice();
    const bad = await verify([...chain.lines, chain.last(third)], thief);
    assert.match(bad?.problem ?? '', /not one of the trusted key/);
  });

  test('may begin behind records that were pruned, the changes among them', async () => {
    const chain = twice();
    const { seq, hash } = chain.ends[3] ?? chainStart;
    const head = signMark('head', { ...chain.end, time, count: 3 }, third);
    for (const [key, isGood] of [
      [second, true],
      [third, true],
      [first, false],
      [thief, false],
    ] as const) {
      const stub = signMark('stub', { seq, hash, time, count: seq }, key);
      const last = JSON.stringify({ type: headType, ...head, stub, keys: chain.changes });
      assert.equal((await verify([...chain.lines.slice(4), last], first)) === undefined, isGood);
    }
  });
});

describe('what is forged about a key is named:', () => {
  test('a head by the key before', async () => {
    const chain = twice();
    for (const key of [first, second]) {
      const bad = await verify([...chain.lines, chain.last(key)], third);
      assert.match(bad?.problem ?? '', /not one of the trusted key/);
    }
  });

  test('a change that the key before has not signed', async () => {
    const chain = new Chain().add().add();
    const forged = { ...signKeyChange(chain.end, time, thief, second), from: chain.head(first).key };
    chain.change(first, second, forged).add();
    assert.deepEqual(await verify([...chain.lines, chain.last(second)], first), {
      seq: 3,
      problem: 'the change of the audit key is not signed by both keys',
    });
  });

  test('a change by a key that had been changed already', async () => {
    const chain = new Chain().add().change(first, second).add().change(first, thief).add();
    const bad = await verify([...chain.lines, chain.last(thief)], first);
    assert.deepEqual(bad, { seq: 4, problem: 'the change of the audit key is not signed by the key before' });
  });

  test('a change that was taken from elsewhere in the chain, or from another one', async () => {
    const chain = new Chain().add().add();
    const early = signKeyChange(chain.ends[0] ?? chainStart, time, first, second);
    chain.change(first, second, early).add();
    const bad = await verify([...chain.lines, chain.last(second)], first);
    assert.deepEqual(bad, { seq: 3, problem: 'the change of the audit key was made elsewhere' });
  });

  test('a change that no record tells of, though the key before has signed it', async () => {
    const chain = new Chain().add().add().add();
    const keys = [signKeyChange(chain.ends[0] ?? chainStart, time, first, thief)];
    const bad = await verify([...chain.lines, chain.last(thief, { keys })], first);
    assert.match(bad?.problem ?? '', /not the one that the last line tells of/);
    assert.equal(bad?.seq, 2);
  });

  test('a recorded change that the last line hides, or replaces', async () => {
    const chain = new Chain().add().change(first, second).add();
    const hidden = await verify([...chain.lines, chain.last(first, { keys: [] })], first);
    assert.match(hidden?.problem ?? '', /not the one that the last line tells of/);
    const keys = [signKeyChange(chain.ends[0] ?? chainStart, time, first, thief)];
    const replaced = await verify([...chain.lines, chain.last(thief, { keys })], first);
    assert.match(replaced?.problem ?? '', /not the one that the last line tells of/);
  });

  test('a contradiction that tells of a head of an earlier key, from when it signed', async () => {
    const other = new Chain().add({ type: 'run.started', time, other: true });
    const contradicted = (head: SignedMark): object => ({
      type: 'audit.contradicted',
      time,
      head,
      firstBad: 1,
    });
    const chain = new Chain()
      .add()
      .add(contradicted(other.head(first)))
      .change(first, second)
      .add();
    assert.equal((await verify([...chain.lines, chain.last(second)], second))?.seq, 1);
    // Of a key that was changed nothing counts that it has signed later.
    const late = new Chain().add().change(first, second).add();
    late.add(contradicted(twice().head(first)));
    assert.equal(await verify([...late.lines, late.last(second)], second), undefined);
  });
});

describe('a row of changes', () => {
  test('is one only if each follows the one before', () => {
    const { changes } = twice();
    assert.deepEqual(parseKeyChanges(JSON.parse(JSON.stringify(changes))), changes);
    const [one, two] = changes;
    for (const bad of [
      undefined,
      {},
      [1],
      [two, one],
      [one, one],
      [{ ...one, seq: 1 }],
      [{ ...one, to: two?.to }],
    ])
      assert.equal(parseKeyChanges(bad), undefined);
    assert.equal(parseKeyChanges(Array(101).fill(one)), undefined);
  });

  test('lets nobody speak for the keys before theirs', () => {
    const { changes } = twice();
    const [change] = changes;
    assert.ok(change !== undefined);
    // Whoever has only a key of their own says that the second came after it.
    const mine = new Chain().add().head(thief).key;
    const madeUp = { ...change, from: mine };
    assert.equal(parseKeyChanges([madeUp]), undefined);
    assert.equal(AuditKeys.follow(changes, fingerprintOf(thief)), undefined);
    assert.equal(AuditKeys.follow(changes, fingerprintOf(first))?.newest, fingerprintOf(third));
  });
});
