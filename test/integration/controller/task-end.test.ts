import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { allAtOnce } from '../../../common/rollout.ts';
import type { TaskEvent } from '../../../common/task-event.ts';
import type { Run } from '../../../controller/runs/run.ts';
import { encodeTaskEvent } from '../../../proto/event-codec.ts';
import { ControllerCore, offlineWaitMs, prepareController } from '../protocol/controller-core.ts';
import { succeeding } from './test-agent.ts';

interface OpenRun {
  readonly core: ControllerCore;
  readonly id: string;
  readonly run: Run;
  readonly task: string;
}

async function openRun(t: TestContext): Promise<OpenRun> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-end-'));
  t.after(() => rm(folder, { recursive: true }));
  await prepareController(folder);
  const core = await ControllerCore.open(folder);
  t.after(() => core.close());
  const id = await core.start({ rollout: allAtOnce, offline: { kind: 'wait', waitMs: offlineWaitMs } });
  const run = core.runs.live(id);
  const [task] = run?.taskIds ?? [];
  assert.ok(run !== undefined && task !== undefined);
  return { core, id, run, task };
}

function bytesOf(events: readonly TaskEvent[]): Uint8Array[] {
  return events.map((event, at) => encodeTaskEvent({ seq: at + 1, timeMs: Date.now(), event }));
}

test('an agent hears that its task has ended only once that is on the disk', async (t) => {
  const { core, id, run, task } = await openRun(t);
  const entered = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const before = core.store.write(() => {
    entered.resolve();
    return held.promise;
  });
  await entered.promise;
  const taken = run.take(task, bytesOf(succeeding()), '');
  await new Promise(setImmediate);
  assert.equal(run.lastSeq(task), 0);
  held.resolve();
  await Promise.all([before, taken]);
  assert.equal(run.lastSeq(task), Number.MAX_SAFE_INTEGER);
  assert.ok((await core.rowsOf(id)).some(({ id: row, state }) => row === task && state === 'succeeded'));
});

test('a task keeps the time at which it started when it ends', async (t) => {
  const { core, run, task } = await openRun(t);
  const startedAt = async (): Promise<number | null | undefined> => {
    const rows = core.store.db.selectFrom('tasks').select('started_at').where('id', '=', task);
    return (await rows.executeTakeFirst())?.started_at;
  };
  const events = bytesOf(succeeding());
  await run.take(task, events.slice(0, 2), '');
  const atFirst = await startedAt();
  assert.equal(typeof atFirst, 'number');
  for (const before = Date.now(); Date.now() < before + 2;) await new Promise(setImmediate);
  await run.take(task, events, '');
  assert.equal(await startedAt(), atFirst);
});
