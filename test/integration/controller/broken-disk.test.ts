import assert from 'node:assert/strict';
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { buffer } from 'node:stream/consumers';
import { PassThrough } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { backUpController } from '../../../controller/backup/backup.ts';
import { restoreController } from '../../../controller/backup/restore.ts';
import { databasePath } from '../../../controller/init.ts';
import { FailingDisk } from './failing-disk.ts';
import { began, succeeded } from './test-agent.ts';
import { refusal, TestController } from './test-controller.ts';
import type { TestUser } from './test-user.ts';

async function onFailingDisk(t: TestContext): Promise<{ controller: TestController; disk: FailingDisk }> {
  const disk = new FailingDisk();
  const usual = process.env['TMPDIR'];
  process.env['TMPDIR'] = disk.path;
  try {
    return { controller: await TestController.start(t), disk };
  } finally {
    if (usual === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = usual;
    disk.removeAfter(t);
  }
}

/** Why a run is not started. */
async function whyRefused(user: TestUser): Promise<string> {
  const run = user.run();
  await assert.rejects(run.started());
  const { code, message } = await run.inbox.ended;
  assert.equal(code, 'unavailable');
  return message;
}

test('a disk that becomes read-only has runs and ends refused with the reason, and all is recorded once it is mended', async (t) => {
  const { controller, disk } = await onFailingDisk(t);
  const { agent, identity } = await controller.online('prod-1', ['sexy']);
  const admin = await controller.admin();
  const { run: id } = await admin.run().started();
  const { taskId } = await agent.asked();
  const report = agent.report();
  await report.open(taskId);
  await report.send(1, began);

  disk.fail();
  assert.equal(await whyRefused(admin), "the controller's store cannot record this: disk I/O error");
  report.write(3, succeeded);
  assert.equal((await report.inbox.ended).code, 'unavailable');
  assert.deepEqual([controller.audit('run.started').length, controller.audit('task.finished')], [1, []]);

  await controller.stop();
  await assert.rejects(controller.restart(), {
    code: 'unavailable',
    message: /^the disk of \S+ is read-only: mend it, then start the controller$/,
  });
  disk.mend();
  await controller.restart();
  const again = controller.readmit(admin);
  const watched = again.watch(id);
  const back = controller.attach(identity, { openTasks: [taskId] });
  await back.welcomed();
  await back.finish(taskId, [...began, ...succeeded]);
  const last = (await watched).at(-1)?.event;
  assert.equal(last?.type === 'run.finished' && last.state, 'succeeded');
  for (const type of ['run.started', 'action.finished', 'task.finished', 'run.finished'])
    assert.equal(controller.audit(type).length, 1, type);
  await back.tellStacks(['sexy']);
  await again.run().started();
});

/** Writes over the pages of a table and its indexes, in the file of a controller that serves. */
function damage(path: string, table: string): void {
  const database = new DatabaseSync(path);
  const roots = database.prepare('select rootpage from sqlite_master where tbl_name = ?').all(table);
  const pageBytes = Number(database.prepare('pragma page_size').get()?.['page_size']);
  database.exec('pragma wal_checkpoint(truncate)');
  const file = openSync(path, 'r+');
  for (const { rootpage } of roots)
    writeSync(file, Buffer.alloc(pageBytes, 0xa5), 0, pageBytes, (Number(rootpage) - 1) * pageBytes);
  closeSync(file);
  // The controller has them in memory until somebody else writes.
  database.exec("update hosts set agent_version = 'another'");
  database.close();
}

test('a page that goes bad while the controller serves: nothing is recorded any more, and a backup brings it back', async (t) => {
  const controller = await TestController.start(t);
  const { agent, identity } = await controller.online('prod-1', ['sexy']);
  const admin = await controller.admin();
  const before = admin.run();
  await agent.finish((await agent.asked()).taskId);
  await before.finished();
  const archive = new PassThrough();
  const backup = buffer(archive);
  await backUpController(controller.folder, '-', archive);
  archive.end();

  damage(databasePath(controller.folder), 'runs');
  const damaged =
    /^the database \S+ is damaged \(database disk image is malformed\): move \S+ away and put a backup/;
  assert.match(await whyRefused(admin), damaged);
  // Nor what does not need the bad pages.
  assert.equal((await refusal(admin.setUserRole('admin', 'admin'))).status, 'UNAVAILABLE');
  await agent.heartbeat();
  assert.ok(!agent.heard.slice(agent.heard.indexOf('startTask') + 1).includes('startTask'));

  await controller.stop();
  await assert.rejects(controller.restart(), { code: 'unavailable', message: /is damaged .* restore FILE$/ });
  renameSync(controller.folder, `${controller.folder}.broken`);
  const bytes = await backup;
  await restoreController(
    controller.folder,
    '-',
    (async function* () {
      yield bytes;
    })(),
  );
  await controller.restart();
  const again = controller.readmit(admin);
  const back = controller.attach(identity);
  await back.welcomed();
  await back.tellStacks(['sexy']);
  const run = again.run();
  await back.finish((await back.asked()).taskId);
  assert.equal((await run.finished()).state, 'succeeded');
});
