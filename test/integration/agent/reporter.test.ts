import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { reportTask } from '../../../agent/session/reporter.ts';
import { TaskSpool } from '../../../agent/tasks/task-spool.ts';
import type { TaskEvent } from '../../../common/task-event.ts';
import type { TaskReport } from '../../../proto/gen/kompose/v1/agent_link.ts';
import { succeeded } from '../controller/test-agent.ts';

const task = '01J0000000000000000000000T';
const started: TaskEvent = { type: 'task.started' };

/** The controller's end of a report: acknowledges what it is sent, and says `taken` of each message of events. */
class Controller extends EventEmitter {
  /** How many events came in each message. */
  readonly sizes: number[] = [];
  #taken = 0;

  write({ kind }: TaskReport): boolean {
    if (kind?.$case === 'events') {
      this.sizes.push(kind.value.events.length);
      this.#taken += kind.value.events.length;
    }
    queueMicrotask(() => {
      this.emit('data', { kind: { $case: 'ack', value: { seq: this.#taken } } });
      if (kind?.$case === 'events') this.emit('taken');
    });
    return true;
  }

  end(): void {}

  cancel(): void {}
}

async function spoolOf(t: TestContext): Promise<TaskSpool> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-report-'));
  t.after(() => rm(folder, { recursive: true }));
  const spool = TaskSpool.create(folder, task, Date.now, 0);
  t.after(() => spool.log.close());
  return spool;
}

test('a report sends the first event at once, and in one message what follows it closely', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const spool = await spoolOf(t);
  const controller = new Controller();
  const client = { report: () => controller, getChannel: () => ({ getTarget: () => '' }) };
  spool.record(started);
  const taken = once(controller, 'taken');
  const { signal } = new AbortController();
  const reported = reportTask(client as never, spool, signal, () => undefined);
  await taken;
  for (const event of succeeded) {
    spool.record(event);
    await nextTurn();
  }
  t.mock.timers.tick(100);
  await reported;
  assert.deepEqual(controller.sizes, [1, succeeded.length]);
});

test('of a task that its controller has ended nothing is left to tell, however much is recorded', async (t) => {
  const spool = await spoolOf(t);
  spool.record(started);
  assert.equal(spool.unacknowledgedCount, 1);
  spool.acknowledge(Number.MAX_SAFE_INTEGER);
  assert.equal(spool.unacknowledgedCount, 0);
});
