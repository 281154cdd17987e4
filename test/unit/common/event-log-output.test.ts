import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
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

/** What a test writes: output of a strand, numbered by itself, or a record that is no output (strand 0). */
class Writer {
  readonly keptBytes: number;
  readonly written = new Map<number, number>();

  constructor(keptBytes: number) {
    this.keptBytes = keptBytes;
  }

  /** The record's text is `strand place`, padded; a marker's is `strand place!`: what comes next. */
  append(log: EventLog, strand: number, size = 10): void {
    const place = this.written.get(strand) ?? 0;
    this.written.set(strand, place + 1);
    const bytes = Buffer.from(`${strand} ${place}`.padEnd(size));
    const marker = (): Uint8Array => Buffer.from(`${strand} ${place}!`);
    if (strand === 0) log.append(bytes);
    else log.appendOutput(strand, bytes, { keptBytes: this.keptBytes, marker });
  }
}

/** Reads on and finds that nothing is missing that no marker tells of. */
class Checker {
  readonly #next = new Map<number, number>();
  #seq: number;
  dropped = 0;

  constructor(afterSeq: number) {
    this.#seq = afterSeq;
  }

  take(records: readonly LogRecord[]): void {
    for (const { seq, bytes } of records) {
      assert.ok(seq > this.#seq, `${seq} after ${this.#seq}`);
      this.#seq = seq;
      const text = Buffer.from(bytes).toString().trim();
      const [strand = 0, place = 0] = text.replace('!', '').split(' ').map(Number);
      const expected = this.#next.get(strand) ?? place;
      if (text.endsWith('!')) {
        assert.ok(place > expected || this.#next.get(strand) === undefined, `marker ${text} for ${expected}`);
        this.dropped += place - expected;
      } else {
        assert.equal(place, expected, `strand ${strand}`);
      }
      this.#next.set(strand, text.endsWith('!') ? place : place + 1);
    }
  }

  /** It has come to the end of everything. */
  isAtEnd(written: ReadonlyMap<number, number>): void {
    for (const [strand, next] of this.#next) assert.equal(next, written.get(strand), `strand ${strand}`);
  }
}

async function readAll(log: EventLog, afterSeq = 0): Promise<Checker> {
  const checker = new Checker(afterSeq);
  for await (const records of log.read(afterSeq, never())) checker.take(records);
  return checker;
}

async function texts(log: EventLog): Promise<string[]> {
  const all: string[] = [];
  for await (const records of log.snapshot())
    all.push(...records.map(({ seq, bytes }) => `${seq} ${Buffer.from(bytes).toString().trim()}`));
  return all;
}

describe('EventLog with output', () => {
  test('keeps the first and the last of a strand, and tells of what is gone between', async (t) => {
    const path = logPath(t);
    const writer = new Writer(320);
    const log = EventLog.open(path);
    for (let count = 0; count < 100; count++) writer.append(log, 1);
    writer.append(log, 0);
    log.close();
    const again = EventLog.open(path);
    const all = await texts(again);
    // 16 of 10 bytes are half; a piece of the ring is its marker and two more.
    const gap = all.findIndex((text) => text.endsWith('!'));
    assert.deepEqual(
      all.slice(0, 16),
      Array.from({ length: 16 }, (_, at) => `${at + 1} 1 ${at}`),
    );
    assert.equal(gap, 16);
    const [seq, , next] = (all[gap] ?? '').replace('!', '').split(' ').map(Number);
    assert.equal(seq, next);
    assert.equal(all[gap + 1], `${Number(next) + 1} 1 ${next}`);
    assert.equal(all.at(-2), '100 1 99');
    assert.equal(all.at(-1), '101 0 0');
    assert.ok(again.size < 3000);
    again.close();
  });

  test('gives one strand’s room to no other', async (t) => {
    const log = EventLog.open(logPath(t));
    const writer = new Writer(400);
    for (let count = 0; count < 20; count++) writer.append(log, 1);
    for (let count = 0; count < 1000; count++) writer.append(log, 2);
    log.end();
    const all = await texts(log);
    assert.equal(all.filter((text) => text.split(' ')[1] === '1').length, 20);
    assert.ok(log.size < 4000);
    log.close();
  });

  test('keeps nothing of a strand on disk that it is not to keep', async (t) => {
    const path = logPath(t);
    const writer = new Writer(0);
    const log = EventLog.open(path);
    const live = readAll(log);
    writer.append(log, 0);
    for (let count = 0; count < 20_000; count++) {
      writer.append(log, 1, 1000);
      if (count % 100 === 0) await new Promise(setImmediate);
    }
    log.end();
    assert.equal((await live).dropped, 0);
    assert.ok(log.size < 400);
    assert.deepEqual(readdirSync(join(path, '..')), ['events']);
    log.close();
  });

  test('gives no number twice, also of what it did not keep', async (t) => {
    const path = logPath(t);
    const writer = new Writer(0);
    const first = EventLog.open(path);
    writer.append(first, 0);
    for (let count = 0; count < 5; count++) writer.append(first, 1);
    writer.append(first, 0);
    first.close();
    const second = EventLog.open(path);
    assert.ok(second.count >= 7);
    assert.equal(
      Buffer.from((await second.newest())?.bytes ?? [])
        .toString()
        .trim(),
      '0 1',
    );
    const before = second.count;
    writer.append(second, 0);
    second.end();
    assert.deepEqual(await texts(second), ['1 0 0', '7 0 1', `${before + 1} 0 2`]);
    second.close();
  });

  test('never loses output in silence, whoever reads it, from where, and however often it is opened', async (t) => {
    const path = logPath(t);
    const write = fc.record({
      kind: fc.constant('write' as const),
      strand: fc.nat({ max: 3 }),
      count: fc.integer({ min: 1, max: 60 }),
      size: fc.integer({ min: 8, max: 300_000 }).map((size) => (size > 250_000 ? size : 8 + (size % 90))),
    });
    const other = fc.record({
      kind: fc.constantFrom('read' as const, 'turn' as const, 'reopen' as const),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const keptBytes = fc.constantFrom(0, 300, 3_000, 3_000_000);
    const steps = fc.array(fc.oneof({ weight: 3, arbitrary: write }, { weight: 1, arbitrary: other }));
    await fc.assert(
      fc.asyncProperty(keptBytes, steps, async (kept, all) => {
        rmSync(path, { force: true });
        rmSync(`${path}.rings`, { force: true, recursive: true });
        const writer = new Writer(kept);
        let log = EventLog.open(path);
        let readers = [readAll(log)];
        for (const step of all) {
          if (step.kind === 'write') {
            for (let at = 0; at < step.count; at++) writer.append(log, step.strand, step.size);
          } else if (step.kind === 'read') {
            readers.push(readAll(log, Math.floor(step.part * log.count)));
          } else if (step.kind === 'turn') {
            await new Promise(setImmediate);
          } else if (kept > 0) {
            log.close();
            for (const checker of await Promise.all(readers)) checker.isAtEnd(writer.written);
            log = EventLog.open(path);
            readers = [readAll(log)];
          }
        }
        writer.append(log, 0);
        log.close();
        await Promise.all(readers);
      }),
      { numRuns: 40 },
    );
  });
});
