import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createStdinKey, stdinJudge, stdinMarker } from '../../../../common/signing/stdin-marks.ts';

const task = '01J0000000000000000000000T';
const part = { offset: 7, data: Buffer.from('drop table'), isEnd: false };

describe('the mark of a piece of stdin', () => {
  test('is known by the agent whose half of the key the client was told', () => {
    const [client, agent] = [createStdinKey(), createStdinKey()];
    const mark = stdinMarker(client, agent.publicKey, task);
    const isMarked = stdinJudge(agent, client.publicKey, task);
    assert.equal(isMarked(part, mark(part)), true);
    const end = { offset: 17, data: new Uint8Array(), isEnd: true };
    assert.equal(isMarked(end, mark(end)), true);
  });

  const [client, agent, eve] = [createStdinKey(), createStdinKey(), createStdinKey()];
  const mark = stdinMarker(client, agent.publicKey, task)(part);
  const others: readonly [what: string, part: typeof part, mark: Uint8Array][] = [
    ['other bytes', { ...part, data: Buffer.from('drop tables') }, mark],
    ['another place', { ...part, offset: 8 }, mark],
    ['the end', { ...part, isEnd: true }, mark],
    ['digits of the place among the bytes', { ...part, offset: 0 }, mark],
    ['a part of it', part, mark.subarray(1)],
    ['none', part, new Uint8Array()],
    ['that of another task', part, stdinMarker(client, agent.publicKey, task.replace('T', 'U'))(part)],
    ['that of another client', part, stdinMarker(eve, agent.publicKey, task)(part)],
    [
      'that of the client for a half that somebody between has put in the place of the agent’s',
      part,
      stdinMarker(client, eve.publicKey, task)(part),
    ],
    [
      'that which somebody between can make of both public halves',
      part,
      stdinMarker(eve, client.publicKey, task)(part),
    ],
  ];
  for (const [what, told, its] of others) {
    test(`is not ${what}`, () => {
      assert.equal(stdinJudge(agent, client.publicKey, task)(told, its), false);
    });
  }

  test('cannot be by a key that is none', () => {
    for (const none of [new Uint8Array(), Buffer.alloc(31), Buffer.alloc(32)])
      assert.throws(() => stdinJudge(agent, none, task), { code: 'protocol' });
  });
});
