import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  chainStart,
  hashRecord,
  recordLine,
  recordText,
  splitLine,
  type ChainEnd,
} from '../../../../common/audit/chain.ts';
import { keyFingerprint, signMark, type SignedMark } from '../../../../common/audit/signed-head.ts';
import { headType, linesOf, verifyChain, type Trust } from '../../../../common/audit/verify-chain.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519').privateKey;
const time = '2026-05-01T08:00:00.000Z';

interface Link extends ChainEnd {
  readonly line: string;
}

function chain(length: number, after: ChainEnd = chainStart, word = 'up'): Link[] {
  const links: Link[] = [];
  for (let n = 0; n < length; n++) {
    const end = links.at(-1) ?? after;
    const record = recordText(end, { type: 'run.started', time, command: word, text: 'ü"\n' });
    const hash = hashRecord(record);
    links.push({ seq: end.seq + 1, hash, line: recordLine({ record, hash }) });
  }
  return links;
}

const whole = chain(9);
const lines = whole.map(({ line }) => line);

function link(seq: number): Link {
  const found = whole[seq - 1];
  assert.ok(found !== undefined);
  return found;
}

function headOver(end: ChainEnd, count: number = end.seq, key = privateKey): SignedMark {
  return signMark('head', { seq: end.seq, hash: end.hash, time, count }, key);
}

function headLine(head: SignedMark, stub?: SignedMark): string {
  return JSON.stringify({ type: headType, ...head, ...(stub === undefined ? {} : { stub }) });
}

const signed = headLine(headOver(link(9)));
const fingerprint = keyFingerprint(headOver(link(9)).key);

async function verify(text: readonly string[], trust: Partial<Trust> = {}) {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const bytes = Buffer.from(text.map((line) => `${line}\n`).join(''));
    for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100);
  }
  return verifyChain(linesOf(chunks()), { fingerprint, seen: undefined, isLive: false, ...trust });
}

async function badSeq(text: readonly string[], trust: Partial<Trust> = {}): Promise<number | undefined> {
  return (await verify(text, trust)).bad?.seq;
}

/** The lines with some of them changed. */
function without(...seqs: number[]): string[] {
  return lines.filter((_, index) => !seqs.includes(index + 1));
}

describe('a whole chain', () => {
  test('is whole', async () => {
    const verdict = await verify([...lines, signed]);
    assert.deepEqual(verdict, { first: 1, last: 9, count: 9, signedAt: time });
  });

  test('comes apart into the bytes that were hashed', () => {
    const { line, hash } = link(4);
    const split = splitLine(Buffer.from(line));
    assert.equal(split?.hash, hash);
    assert.equal(hashRecord(split.record), hash);
  });

  test('may be one that an older head than the newest stands over', async () => {
    assert.equal(await badSeq([...lines.slice(0, 5), headLine(headOver(link(5)))]), undefined);
    const seen = headOver(link(9));
    assert.equal(await badSeq([...lines.slice(0, 5), headLine(headOver(link(5)))], { seen }), undefined);
  });

  test('may begin behind pruned records, as a signed stub says', async () => {
    const stub = signMark('stub', { ...link(3), time, count: 3 }, privateKey);
    const text = [...lines.slice(3), headLine(headOver(link(9), 6), stub)];
    assert.equal(await badSeq(text, { isLive: true }), undefined);
  });

  test('may be a part, which its head counts', async () => {
    const text = [...lines.slice(3, 6), headLine(headOver(link(6), 3))];
    assert.equal(await badSeq(text), undefined);
  });
});

describe('every byte of an export', () => {
  test('is proven: changing any one of them is found, in its record', async () => {
    const text = [...lines.slice(0, 3), headLine(headOver(link(3)))];
    const bytes = Buffer.from(text.map((line) => `${line}\n`).join(''));
    let seq = 1;
    for (const [at, byte] of bytes.entries()) {
      const changed = Buffer.from(bytes);
      changed[at] = byte ^ 1;
      const { bad } = await verifyChain(linesOf(one(changed)), {
        fingerprint,
        seen: undefined,
        isLive: false,
      });
      // A head bears its own members in any order and form: only what they say is signed.
      if (seq <= 3) assert.equal(bad?.seq, seq, `byte ${at}: ${changed.toString()}`);
      if (byte === 10) seq++;
    }
  });
});

async function* one(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

describe('the first bad record is named where', () => {
  const changed = (seq: number): string[] =>
    lines.map((line, index) => (index + 1 === seq ? line.replace('"up"', '"down"') : line));

  for (const seq of [1, 5, 9]) {
    test(`record ${seq} was changed`, async () => {
      assert.equal(await badSeq([...changed(seq), signed]), seq);
    });
    test(`record ${seq} was dropped`, async () => {
      assert.equal(await badSeq([...without(seq), signed]), seq);
    });
  }

  test('a record was changed and hashed anew', async () => {
    const [forged] = chain(1, link(4), 'down');
    assert.ok(forged !== undefined);
    assert.equal(await badSeq([...lines.slice(0, 4), forged.line, ...lines.slice(5), signed]), 5);
  });

  test('two records were changed', async () => {
    const both = changed(3).map((line, index) => changed(4)[index === 3 ? 3 : -1] ?? line);
    assert.equal(await badSeq([...both, signed]), 3);
  });

  test('records were put in another order', async () => {
    const [a = '', b = '', c = '', d = '', ...rest] = lines;
    assert.equal(await badSeq([a, c, b, d, ...rest, signed]), 2);
    assert.equal(await badSeq([b, a, c, d, ...rest, signed]), 1);
  });

  test('a record was put in between', async () => {
    const [extra] = chain(1, link(4), 'rm');
    assert.ok(extra !== undefined);
    assert.equal(await badSeq([...lines.slice(0, 4), extra.line, ...lines.slice(4), signed]), 5);
    assert.equal(await badSeq([...lines.slice(0, 4), link(4).line, ...lines.slice(4), signed]), 4);
    const renumbered = [...lines.slice(0, 4), extra.line, ...chain(5, extra).map(({ line }) => line)];
    assert.notEqual(await badSeq([...renumbered, signed]), undefined);
  });

  test('the tail was cut off', async () => {
    assert.equal(await badSeq([...lines.slice(0, 7), signed]), 8);
  });

  test('the signed last line is missing, or cut through', async () => {
    assert.equal(await badSeq(lines), 10);
    assert.equal(await badSeq([...lines, signed.slice(0, 40)]), 10);
    assert.equal(await badSeq([]), 1);
  });

  test('records came after the head, or the head is not the last line', async () => {
    const short = headLine(headOver(link(8)));
    assert.equal(await badSeq([...lines, short]), 9);
    assert.equal(await badSeq([...lines.slice(0, 8), short, link(9).line]), 9);
  });

  test('the beginning was cut off', async () => {
    assert.equal(await badSeq([...lines.slice(3), signed]), 1);
    const part = headLine(headOver(link(9), 6));
    assert.equal(await badSeq([...lines.slice(3), part], { isLive: true }), 3);
    const head = headOver(link(9), 6);
    const fake = { ...headOver(link(3)), count: 3 };
    assert.equal(await badSeq([...lines.slice(3), headLine(head, fake)]), 3);
  });
});

describe('no key in the file is trusted', () => {
  test('one of another key is refused', async () => {
    const foreign = headLine(headOver(link(9), 9, other));
    const { bad } = await verify([...lines, foreign]);
    assert.match(bad?.problem ?? '', /not one of the trusted key: it is signed by the key [0-9a-f]{64}/);
  });

  test('one that bears the trusted key beside another’s signature is refused', async () => {
    const foreign = { ...headOver(link(9), 9, other), key: headOver(link(9)).key };
    assert.equal(await badSeq([...lines, headLine(foreign)]), 10);
  });

  test('a signature over a stub is none over a head', async () => {
    const stub = signMark('stub', { ...link(9), time, count: 9 }, privateKey);
    assert.equal(await badSeq([...lines, headLine(stub)]), 10);
  });

  for (const field of ['count', 'time', 'hash', 'seq'] as const) {
    test(`the head’s ${field} is signed`, async () => {
      const head = { ...headOver(link(9)) };
      const forged = { ...head, [field]: typeof head[field] === 'number' ? head[field] + 1 : 'x' };
      assert.equal(await badSeq([...lines, headLine(forged)]), 10);
    });
  }
});

describe('a head that was seen', () => {
  const forked = [...whole.slice(0, 4), ...chain(5, link(4), 'down')];
  const fork = [...forked.map(({ line }) => line), headLine(headOver(forked.at(-1) ?? chainStart))];

  test('that the chain contains is well', async () => {
    assert.equal(await badSeq([...lines, signed], { seen: headOver(link(6)), isLive: true }), undefined);
  });

  test('that the chain contradicts is named, in the store and in an export', async () => {
    for (const isLive of [true, false]) {
      assert.equal(await badSeq(fork, { seen: headOver(link(6)), isLive }), 6);
      assert.equal(await badSeq(fork, { seen: headOver(link(4)), isLive }), undefined);
    }
  });

  test('that is ahead of the store tells that it was rolled back; an export may be older', async () => {
    const older = [...lines.slice(0, 5), headLine(headOver(link(5)))];
    assert.equal(await badSeq(older, { seen: headOver(link(8)), isLive: true }), 6);
    assert.equal(await badSeq(older, { seen: headOver(link(8)), isLive: false }), undefined);
  });

  test('that somebody else presented is told by a record', async () => {
    const told = (head: SignedMark): string[] => {
      const fields = { type: 'audit.contradicted', time, head, firstBad: 6 };
      const record = recordText(link(9), fields);
      const end = { seq: 10, hash: hashRecord(record) };
      return [...lines, recordLine({ record, hash: end.hash }), headLine(headOver(end))];
    };
    assert.equal(await badSeq(told(headOver({ seq: 12, hash: 'f'.repeat(64) }))), 6);
    assert.equal(await badSeq(told(headOver({ seq: 12, hash: 'f'.repeat(64) }, 12, other))), undefined);
  });
});

test('a hook script that was swapped is named, though the record was hashed anew', async () => {
  const script = { sha256: 'a'.repeat(64), text: 'echo b', textSha256: hashRecord('echo a') };
  const record = recordText(link(9), { type: 'hook.kept', time, script });
  const end = { seq: 10, hash: hashRecord(record) };
  assert.equal(await badSeq([...lines, recordLine({ record, hash: end.hash }), headLine(headOver(end))]), 10);
});
