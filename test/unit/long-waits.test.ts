import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { getEventListeners } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { queryObjects } from 'node:v8';
import { Onlooker } from '../../agent/local/onlooker.ts';
import { TaskSpool } from '../../agent/tasks/task-spool.ts';
import { TaskStdin } from '../../agent/tasks/task-stdin.ts';
import { EventLog } from '../../common/event-log.ts';
import { PacedWriter } from '../../controller/services/paced-writer.ts';

/*
 * A command may go on for months, and all that time somebody waits for its next word. What is kept of each wait until the
 * last one would be a leak.
 */

const waits = 2_000;

/** How many more promises live after so many waits than before; some are always under way. */
async function promisesLeft(wait: () => Promise<unknown>): Promise<number> {
  for (let count = 0; count < 20; count++) await wait();
  const before = queryObjects(Promise, { format: 'count' });
  for (let count = 0; count < waits; count++) await wait();
  await nextTurn();
  return queryObjects(Promise, { format: 'count' }) - before;
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'kompose-waits-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

describe('nothing is kept of each wait', () => {
  test('by a reader that follows an event log', async (t) => {
    const log = EventLog.open(join(folder(t), 'events'));
    const reading = log.read(0, new AbortController().signal);
    const left = await promisesLeft(async () => {
      const next = reading.next();
      log.append(Buffer.of(1));
      assert.equal((await next).value?.length, 1);
    });
    log.close();
    assert.ok(left < waits / 100, `${left} promises are left of ${waits} waits`);
  });

  test('by a stream whose reader is slow', async () => {
    const taken: (() => void)[] = [];
    const write = (_: unknown, done?: unknown): boolean => {
      taken.push(done as () => void);
      return false;
    };
    const writer = new PacedWriter<number>({ write }, () => 100 * 1024, new AbortController().signal);
    await writer.write(0);
    const left = await promisesLeft(async () => {
      const written = writer.write(1);
      taken.shift()?.();
      await written;
    });
    assert.ok(left < waits / 100, `${left} promises are left of ${waits} waits`);
  });

  test('by a stdin whose process is slow', async () => {
    const stdin = new TaskStdin();
    const slow = new Writable({ highWaterMark: 1, write: (_, __, done) => void setImmediate(done) });
    let given = Promise.withResolvers<void>();
    stdin.connect(slow, () => given.resolve());
    let offset = 0;
    const left = await promisesLeft(async () => {
      given = Promise.withResolvers();
      stdin.receive({ offset: offset++, data: Buffer.of(1), isEnd: false });
      await given.promise;
    });
    assert.ok(left < waits / 100, `${left} promises are left of ${waits} waits`);
  });

  test('by a task that goes at the pace of an onlooker', async (t) => {
    const spool = TaskSpool.create(folder(t), 'task', Date.now, 1024);
    const onlooker = new Onlooker(spool, async () => undefined);
    const { signal } = new AbortController();
    for (let count = 0; count < 100; count++) spool.record({ type: 'task.started' });
    let isWaiting = true;
    const waiting = Array.from({ length: 5 }, () =>
      onlooker.caughtUp(signal).then(() => (isWaiting = false)),
    );
    await nextTurn();
    assert.equal(isWaiting, true);
    assert.equal(getEventListeners(signal, 'abort').length, 5);
    const gone = new AbortController();
    const looking = onlooker.look(gone.signal);
    await Promise.all(waiting);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    gone.abort();
    await looking;
    spool.remove();
  });
});
