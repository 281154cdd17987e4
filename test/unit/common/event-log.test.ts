import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { EventLog } from '../../../common/event-log.ts';
import type { LogRecord } from '../../../common/log-tail.ts';

function logPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'kompose-log-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'events');
}

function never(): AbortSignal {
  return new AbortController().signal;
}

async function all(reading: AsyncIterable<readonly LogRecord[]>): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const some of reading) records.push(...some);
  return records;
}

function texts(records: readonly LogRecord[]): string[] {
  return records.map(({ seq, bytes }) => `${seq} ${Buffer.from(bytes).toString()}`);
}

/** A log with these records and its end. */
function ended(path: string, records: readonly string[]): EventLog {
  const log = EventLog.open(path);
  for (const record of records) log.append(Buffer.from(record));
  log.end();
  return log;
}

describe('EventLog', () => {
  test('gives back what was appended, numbered from 1', async (t) => {
    const log = ended(logPath(t), ['a', '', 'ccc']);
    assert.equal(log.count, 3);
    assert.deepEqual(texts(await all(log.read(0, never()))), ['1 a', '2 ', '3 ccc']);
    assert.deepEqual(texts(await all(log.read(2, never()))), ['3 ccc']);
    assert.deepEqual(await all(log.read(3, never())), []);
    assert.deepEqual(await all(log.read(99, never())), []);
    log.close();
  });

  test('keeps no more of what a record was a part of than the record', async (t) => {
    const log = EventLog.open(logPath(t));
    const read = new Uint8Array(64 * 1024).fill(7);
    log.append(read.subarray(100, 150));
    for (const keptBytes of [0, 1024])
      log.appendOutput(1, read.subarray(0, 50), { keptBytes, marker: () => new Uint8Array() });
    log.end();
    const records = await all(log.read(0, never()));
    assert.deepEqual(
      records.map(({ bytes }) => [bytes.length, bytes[0], bytes.buffer.byteLength]),
      Array.from({ length: 3 }, () => [50, 7, 50]),
    );
    log.close();
  });

  test('is readable by its owner only', (t) => {
    const path = logPath(t);
    EventLog.open(path).close();
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test('returns the number of each record, also after it was opened again', (t) => {
    const path = logPath(t);
    const first = EventLog.open(path);
    assert.equal(first.append(Buffer.from('a')), 1);
    assert.equal(first.append(Buffer.from('b')), 2);
    first.close();
    const second = EventLog.open(path);
    assert.equal(second.count, 2);
    assert.equal(second.append(Buffer.from('c')), 3);
    assert.equal(second.size, readFileSync(path).length);
    second.close();
  });

  test('reads from the file what is not in memory', async (t) => {
    const path = logPath(t);
    const records = Array.from({ length: 1000 }, (_, at) => `record ${at + 1}`);
    ended(path, records).close();
    const log = ended(path, []);
    const expected = records.map((record, at) => `${at + 1} ${record}`);
    assert.deepEqual(texts(await all(log.read(0, never()))), expected);
    for (const after of [1, 127, 128, 129, 500, 999]) {
      assert.deepEqual(texts(await all(log.read(after, never()))), expected.slice(after), `after ${after}`);
    }
    log.close();
  });

  test('reads a record that is larger than a block', async (t) => {
    const path = logPath(t);
    const large = 'x'.repeat(3 * 1024 * 1024);
    ended(path, ['a', large, 'b', large]).close();
    const log = ended(path, ['c']);
    const records = await all(log.read(0, never()));
    assert.deepEqual(
      records.map(({ seq, bytes }) => [seq, bytes.length]),
      [
        [1, 1],
        [2, large.length],
        [3, 1],
        [4, large.length],
        [5, 1],
      ],
    );
    log.close();
  });

  test('gives a reader that is behind the file, then memory, without a gap', async (t) => {
    const log = EventLog.open(logPath(t));
    const append = (): void => {
      const block = Buffer.alloc(64 * 1024);
      block.writeUInt32LE(log.count + 1);
      log.append(block);
    };
    for (let count = 0; count < 40; count++) append();
    const seen: number[] = [];
    for await (const records of log.read(0, never())) {
      for (const { seq, bytes } of records) {
        seen.push(seq);
        assert.equal(Buffer.from(bytes).readUInt32LE(), seq);
      }
      // The writer is ahead of its reader all the time.
      for (let count = 0; count < 20 && log.count < 200; count++) append();
      if (log.count === 200) log.end();
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 200 }, (_, at) => at + 1),
    );
    log.close();
  });

  test('keeps for a reader in memory what it lags behind, and no more than that', async (t) => {
    const log = EventLog.open(logPath(t));
    const reading = log.read(0, never());
    const record = (): Buffer => Buffer.alloc(64 * 1024);
    log.append(record());
    await reading.next();
    const appended = Array.from({ length: 48 }, record);
    for (const bytes of appended) log.append(bytes);
    const lagging: LogRecord[] = [];
    while (lagging.length < appended.length) lagging.push(...((await reading.next()).value ?? []));
    assert.ok(lagging.every(({ bytes }, at) => bytes === appended[at]));
    for (let count = 0; count < 80; count++) log.append(record());
    const [further] = (await reading.next()).value ?? [];
    assert.equal(further?.seq, 50);
    assert.ok(further.bytes.buffer.byteLength > 64 * 1024, 'it was read in a block');
    log.close();
  });

  test('wakes its readers with each record and with the end', async (t) => {
    const log = EventLog.open(logPath(t));
    const readers = [log.read(0, never()), log.read(1, never())] as const;
    const firsts = [readers[0].next(), readers[1].next()] as const;
    log.append(Buffer.from('a'));
    assert.deepEqual(texts((await firsts[0]).value ?? []), ['1 a']);
    log.append(Buffer.from('b'));
    assert.deepEqual(texts((await firsts[1]).value ?? []), ['2 b']);
    assert.deepEqual(texts((await readers[0].next()).value ?? []), ['2 b']);
    const lasts = readers.map((reader) => reader.next());
    log.end();
    for (const { done } of await Promise.all(lasts)) assert.equal(done, true);
    log.close();
  });

  test('lets a reader go when its signal fires', async (t) => {
    const log = EventLog.open(logPath(t));
    const stop = new AbortController();
    const waiting = log.read(0, stop.signal).next();
    const other = log.read(0, never());
    stop.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
    await assert.rejects(log.read(0, stop.signal).next(), /enough/);
    log.append(Buffer.from('a'));
    assert.deepEqual(texts((await other.next()).value ?? []), ['1 a']);
    log.close();
  });

  test('ends readers when it is closed, and keeps the file for those still reading', async (t) => {
    const path = logPath(t);
    ended(path, ['a', 'b', 'c']).close();
    const log = EventLog.open(path);
    const waiting = log.read(3, never()).next();
    const behind = log.read(0, never());
    const first = behind.next();
    log.close();
    assert.equal((await waiting).done, true);
    assert.deepEqual(texts((await first).value ?? []), ['1 a', '2 b', '3 c']);
    assert.equal((await behind.next()).done, true);
  });

  test('shows what is there now and does not wait for more', async (t) => {
    const log = EventLog.open(logPath(t));
    log.append(Buffer.from('a'));
    assert.deepEqual(texts(await all(log.snapshot())), ['1 a']);
    log.close();
  });

  const torn: readonly [title: string, bytes: Buffer][] = [
    ['half a length', Buffer.from([5, 0])],
    ['a header alone', Buffer.from([5, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['half a record', Buffer.from([5, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3])],
    ['an absurd length', Buffer.from([255, 255, 255, 255, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3])],
  ];
  for (const [title, bytes] of torn) {
    test(`cuts off ${title} at the end`, async (t) => {
      const path = logPath(t);
      ended(path, ['a', 'b']).close();
      const size = statSync(path).size;
      appendFileSync(path, bytes);
      const log = EventLog.open(path);
      assert.equal(statSync(path).size, size);
      assert.equal(log.append(Buffer.from('c')), 3);
      log.end();
      assert.deepEqual(texts(await all(log.read(0, never()))), ['1 a', '2 b', '3 c']);
      log.close();
    });
  }

  test('takes no record that it would cut off when it is opened again', (t) => {
    const path = logPath(t);
    const log = EventLog.open(path);
    assert.throws(() => log.append(Buffer.alloc(16 * 1024 * 1024 + 1)), /too long/);
    assert.equal(log.append(Buffer.alloc(16 * 1024 * 1024)), 1);
    log.close();
    const again = EventLog.open(path);
    assert.equal(again.count, 1);
    again.close();
  });

  test('refuses to open what is no file', (t) => {
    const path = logPath(t);
    assert.throws(() => EventLog.open(join(path, 'missing', 'events')), { code: 'ENOENT' });
  });

  test('shows readers exactly the appended records, however it is cut, reopened and read', async (t) => {
    const path = logPath(t);
    const record = fc.oneof(
      { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
      {
        weight: 1,
        arbitrary: fc.integer({ min: 0, max: 400_000 }).map((size) => new Uint8Array(size).fill(size)),
      },
    );
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('append'), records: fc.array(record) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen'), tear: fc.nat({ max: 6 }) }) },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('read'), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        rmSync(path, { force: true });
        const expected: Uint8Array[] = [];
        let log = EventLog.open(path);
        const readers = [all(log.read(0, never()))];
        for (const one of steps) {
          if (one.kind === 'append') {
            for (const bytes of one.records) log.append(bytes);
            expected.push(...one.records);
          } else if (one.kind === 'read') {
            readers.push(all(log.read(Math.floor(one.part * log.count), never())));
            const records = await all(log.snapshot());
            assert.deepEqual(
              records.map(({ bytes }) => Buffer.from(bytes)),
              expected.map((bytes) => Buffer.from(bytes)),
            );
          } else {
            await endReaders(log, readers, expected);
            appendFileSync(path, Buffer.alloc(one.tear, 0xff));
            log = EventLog.open(path);
          }
        }
        await endReaders(log, readers, expected);
      }),
      { numRuns: 40 },
    );
  });
});

/** Each reader began somewhere and has seen everything from there to the end. */
async function endReaders(
  log: EventLog,
  readers: Promise<LogRecord[]>[],
  expected: readonly Uint8Array[],
): Promise<void> {
  log.close();
  for (const records of await Promise.all(readers)) {
    const first = expected.length - records.length;
    for (const [at, { seq, bytes }] of records.entries()) {
      assert.equal(seq, first + at + 1);
      assert.deepEqual(Buffer.from(bytes), Buffer.from(expected[first + at] ?? []));
    }
  }
  readers.length = 0;
}
