import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StdinRelay } from '../../../../controller/runs/stdin-relay.ts';

const terminal = { rows: 24, columns: 80, term: 'xterm' };

/** A link that keeps what it was given. */
function link() {
  const sent: string[] = [];
  return {
    sent,
    send: ({ data }: { data: Uint8Array }): void => void sent.push(Buffer.from(data).toString()),
    resize: ({ rows, columns }: { rows: number; columns: number }): void =>
      void sent.push(`${columns}x${rows}`),
  };
}

describe('StdinRelay of a terminal', () => {
  test('passes on each size, the newest again over the next link', () => {
    const relay = new StdinRelay(terminal);
    const first = link();
    relay.attach(first);
    relay.resize({ rows: 30, columns: 100 });
    assert.deepEqual(first.sent, ['80x24', '100x30']);
    relay.detach(first);
    relay.resize({ rows: 40, columns: 120 });
    const second = link();
    relay.write({ data: Buffer.from('x'), isEnd: false, mark: Buffer.alloc(32) });
    relay.attach(second);
    assert.deepEqual(second.sent, ['120x40', 'x']);
    assert.deepEqual(first.sent, ['80x24', '100x30']);
    assert.deepEqual(relay.terminal, { rows: 40, columns: 120, term: 'xterm' });
  });
});

describe('StdinRelay of a pipe', () => {
  test('has no size', () => {
    const relay = new StdinRelay();
    const only = link();
    relay.attach(only);
    relay.resize({ rows: 30, columns: 100 });
    assert.deepEqual(only.sent, []);
    assert.equal(relay.terminal, undefined);
  });
});
