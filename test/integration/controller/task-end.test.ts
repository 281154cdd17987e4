import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { allAtOnce } from '../../../common/rollout.ts';
import { encodeTaskEvent } from '../../../proto/event-codec.ts';
import { ControllerCore, offlineWaitMs, prepareController } from '../protocol/controller-core.ts';
import { succeeding } from './test-agent.ts';

test('an agent hears that its task has ended only once that is on the disk', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-end-'));
  t.after(() => rm(folder, { recursive: true }));
  await prepareController(folder);
  const core = await ControllerCore.open(folder);
  t.after(() => core.close());
  const id = await core.start({ rollout: allAtOnce, offline: { kind: 'wait', waitMs: offlineWaitMs } });
  const run = core.runs.live(id);
  const [task = ''] = run?.taskIds ?? [];
  const entered = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const before = core.store.write(() => {
    entered.resolve();
    return held.promise;
  });
  await entered.promise;
  const events = succeeding().map((event, at) => encodeTaskEvent({ seq: at + 1, timeMs: Date.now(), event }));
  const taken = run?.take(task, events, '');
  await new Promise(setImmediate);
  assert.equal(run?.lastSeq(task), 0);
  held.resolve();
  await Promise.all([before, taken]);
  assert.equal(run?.lastSeq(task), Number.MAX_SAFE_INTEGER);
  assert.ok((await core.rowsOf(id)).some(({ id: row, state }) => row === task && state === 'succeeded'));
});
