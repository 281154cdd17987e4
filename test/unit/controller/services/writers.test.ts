import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BoundedWriter } from '../../../../controller/services/bounded-writer.ts';
import { NewestWriter } from '../../../../controller/services/newest-writer.ts';
import { PacedWriter } from '../../../../controller/services/paced-writer.ts';

/** Takes what is written when a test says so. */
class Network {
  readonly writable = true;
  readonly written: unknown[] = [];
  readonly #waiting: (() => void)[] = [];

  readonly write = (message: unknown, taken?: unknown): boolean => {
    this.written.push(message);
    if (typeof taken === 'function') this.#waiting.push(taken as () => void);
    return false;
  };

  take(): void {
    this.#waiting.shift()?.();
  }
}

describe('PacedWriter', () => {
  const sizeOf = (): number => 50 * 1024;

  test('lets a stream that nobody reads hold little, and goes on once it is read', async () => {
    const network = new Network();
    const writer = new PacedWriter<number>(network, sizeOf, new AbortController().signal);
    await writer.write(1);
    await writer.write(2);
    let isDone = false;
    const third = writer.write(3).then(() => void (isDone = true));
    await Promise.resolve();
    assert.equal(isDone, false);
    network.take();
    await third;
    assert.deepEqual(network.written, [1, 2, 3]);
  });

  test('ends its wait with the stream', async () => {
    const over = new AbortController();
    const writer = new PacedWriter<number>(new Network(), () => 1024 * 1024, over.signal);
    const waiting = writer.write(1);
    over.abort(new Error('gone'));
    await assert.rejects(waiting, /gone/);
    await assert.rejects(writer.write(2), /gone/);
  });
});

describe('NewestWriter', () => {
  test('keeps one message on its way and the newest of the others', () => {
    const network = new Network();
    const writer = new NewestWriter<number>(network);
    for (let seq = 1; seq <= 5; seq++) writer.write(seq);
    assert.deepEqual(network.written, [1]);
    network.take();
    assert.deepEqual(network.written, [1, 5]);
    network.take();
    writer.write(6);
    assert.deepEqual(network.written, [1, 5, 6]);
  });
});

describe('BoundedWriter', () => {
  test('gives up once, and writes no more, when too much is not taken', () => {
    const network = new Network();
    let givenUp = 0;
    const giveUp = (): void => void givenUp++;
    const writer = new BoundedWriter<string>(network, {
      sizeOf: ({ length }) => length,
      mostBytes: 10,
      giveUp,
    });
    writer.write('12345678');
    network.take();
    writer.write('12345678');
    assert.equal(givenUp, 0);
    writer.write('123');
    writer.write('more');
    assert.equal(givenUp, 1);
    assert.deepEqual(network.written, ['12345678', '12345678', '123']);
  });
});
