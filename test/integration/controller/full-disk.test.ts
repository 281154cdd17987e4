import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { StreamEnd } from './inbox.ts';
import { began, succeeded } from './test-agent.ts';
import { call, TestController } from './test-controller.ts';
import type { TestUser } from './test-user.ts';

/** A controller on a small disk of its own, whose mount takes root, as the tests on the rig do. */
async function onSmallDisk(
  t: TestContext,
  settings: Parameters<typeof TestController.start>[1] = {},
): Promise<{ controller: TestController; disk: string }> {
  const disk = mkdtempSync(join(tmpdir(), 'kompose-disk-'));
  mount('-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk);
  const usual = process.env['TMPDIR'];
  process.env['TMPDIR'] = disk;
  try {
    return { controller: await TestController.start(t, settings), disk };
  } finally {
    if (usual === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = usual;
    // Hooks run in the order of their making: the controller's folder is gone by then.
    t.after(() => {
      spawnSync('umount', ['--lazy', disk]);
      rmSync(disk, { recursive: true });
    });
  }
}

function mount(...args: string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

/** Writes until nothing more goes in; the result makes room again. */
function fill(disk: string): () => void {
  const path = join(disk, 'filler');
  const file = openSync(path, 'w');
  const page = Buffer.alloc(statfsSync(disk).bsize);
  try {
    for (;;) writeSync(file, page);
  } catch {
    // It is full.
  } finally {
    closeSync(file);
  }
  return () => rmSync(path);
}

/** What the controller can do again, and that nothing was recorded in between. */
async function worksAgain(controller: TestController, before: number): Promise<void> {
  const admin = await controller.admin();
  const run = admin.run();
  await run.started();
  assert.equal(controller.audit('run.started').length, before + 1);
  assert.equal(controller.rows('select id from runs').length, before + 1);
  const { contradictions } = await call<{ contradictions: number[] }>((done) =>
    admin.client.getAuditHead({}, admin.metadata, done),
  );
  assert.deepEqual(contradictions, []);
}

/** The write-ahead log may have room for some more. */
async function startUntilRefused(admin: TestUser): Promise<{ started: number; end: StreamEnd }> {
  for (let started = 0; ; started++) {
    const run = admin.run();
    const end = await run.started().then(
      () => undefined,
      () => run.inbox.ended,
    );
    if (end !== undefined) return { started, end };
  }
}

test('a disk that is full has runs refused with the reason, and nothing recorded', async (t) => {
  const { controller, disk } = await onSmallDisk(t);
  const { agent } = await controller.online('prod-1', ['sexy']);
  const admin = await controller.admin();
  const makeRoom = fill(disk);
  const { started, end } = await startUntilRefused(admin);
  assert.equal(end.code, 'unavailable');
  assert.match(end.message, /the controller's store cannot record this: /);
  assert.equal(agent.heard.filter((kind) => kind === 'startTask').length, started);
  assert.equal(controller.audit('run.started').length, started);

  makeRoom();
  await worksAgain(controller, started);
});

test('the end of a task that cannot be recorded is not taken from its agent until it can', async (t) => {
  const { controller, disk } = await onSmallDisk(t);
  const { agent } = await controller.online('prod-1', ['sexy']);
  const admin = await controller.admin();
  const run = admin.run();
  await run.started();
  const { taskId } = await agent.asked();
  const [step, end] = succeeded;
  assert.ok(step !== undefined && end !== undefined);
  const report = agent.report();
  await report.open(taskId);
  assert.equal(await report.send(1, [...began, step]), 3);
  const makeRoom = fill(disk);
  await startUntilRefused(admin);
  report.write(4, [end]);
  assert.equal((await report.inbox.ended).code, 'unavailable');
  assert.deepEqual([run.ends, controller.audit('task.finished')], [{}, []]);

  makeRoom();
  const again = agent.report();
  assert.equal(await again.open(taskId), 3);
  assert.equal(await again.send(4, [end]), Number.MAX_SAFE_INTEGER);
  assert.equal((await run.finished()).state, 'succeeded');
  assert.equal(controller.audit('task.finished').length, 1);
  const [row] = controller.rows(`select state from tasks where id = '${taskId}'`);
  assert.equal(row?.['state'], 'succeeded');
});

test('an end of the controller’s own that cannot be recorded is recorded when it starts again', async (t) => {
  const { controller, disk } = await onSmallDisk(t, { lostAfterMs: 100 });
  const { agent } = await controller.online('prod-1', ['sexy']);
  const admin = await controller.admin();
  const run = admin.run();
  await run.started();
  const report = agent.report();
  await report.open((await agent.asked()).taskId);
  await report.send(1, began);
  const makeRoom = fill(disk);
  await startUntilRefused(admin);
  agent.stream.cancel();
  assert.equal((await run.finished()).exitCode, 4);
  assert.equal(run.ends['prod-1:sexy']?.state, 'lost');
  assert.deepEqual(controller.audit('task.finished'), []);

  makeRoom();
  await controller.restart();
  const [first] = controller.audit('task.finished');
  assert.equal(first?.['outcome'], 'lost');
});
