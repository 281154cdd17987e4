import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { reportOnLink } from '../../../agent/session/report-on-link.ts';
import { TaskSpool } from '../../../agent/tasks/task-spool.ts';
import type { AgentMessage } from '../../../proto/gen/kompose/v1/agent_link.ts';
import { began, output, succeeded } from '../controller/test-agent.ts';

/** A link that says how many events came in each message. */
class Link {
  writableNeedDrain = false;
  readonly sizes: number[] = [];

  write({ kind }: AgentMessage): boolean {
    if (kind?.$case === 'taskNews') this.sizes.push(kind.value.events.length);
    return true;
  }
}

async function spoolOf(t: TestContext): Promise<TaskSpool> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-report-'));
  t.after(() => rm(folder, { recursive: true }));
  const spool = TaskSpool.create(folder, '01J0000000000000000000000T', Date.now, 1024 * 1024);
  t.after(() => spool.log.close());
  return spool;
}

const { signal } = new AbortController();

test('a task tells together what comes closely, and its end at once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const [link, spool] = [new Link(), await spoolOf(t)];
  const told = reportOnLink(link, spool, 0, signal);
  for (const event of [...began, output('some'), output('more')]) {
    spool.record(event);
    await nextTurn();
  }
  assert.deepEqual(link.sizes, []);
  t.mock.timers.tick(2);
  assert.deepEqual(link.sizes, [began.length + 2]);
  for (const event of succeeded) spool.record(event);
  assert.equal(await told, true);
  assert.deepEqual(link.sizes, [began.length + 2, succeeded.length]);
});

test('that a task has begun is told with what it says soon, and soon if it says nothing', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const [link, short] = [new Link(), await spoolOf(t)];
  const told = reportOnLink(link, short, 0, signal);
  for (const event of began) {
    short.record(event);
    await nextTurn();
  }
  t.mock.timers.tick(249);
  for (const event of succeeded) short.record(event);
  assert.equal(await told, true);
  assert.deepEqual(link.sizes, [began.length + succeeded.length]);

  const silent = await spoolOf(t);
  void reportOnLink(link, silent, 0, signal);
  for (const event of began) silent.record(event);
  await nextTurn();
  t.mock.timers.tick(250);
  assert.deepEqual(link.sizes.slice(1), [began.length]);
});

test('a task goes on from where the controller has it', async (t) => {
  const [link, spool] = [new Link(), await spoolOf(t)];
  for (const event of [...began, ...succeeded]) spool.record(event);
  assert.equal(await reportOnLink(link, spool, 3, signal), true);
  assert.deepEqual(link.sizes, [began.length + succeeded.length - 3]);
});

test('a task with much to tell, or whose link is full, gets a stream of its own', async (t) => {
  const [link, spool] = [new Link(), await spoolOf(t)];
  for (const event of began) spool.record(event);
  const told = reportOnLink(link, spool, 0, signal);
  await nextTurn();
  spool.record(output('x'.repeat(64 * 1024)));
  assert.equal(await told, false);
  assert.deepEqual(link.sizes, [began.length]);
  link.writableNeedDrain = true;
  assert.equal(await reportOnLink(link, spool, 0, signal), false);
  assert.deepEqual(link.sizes, [began.length]);
});
