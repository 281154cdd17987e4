import assert from 'node:assert/strict';
import { existsSync, writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { databasePath } from '../../../controller/init.ts';
import { pruneOutput } from '../../../controller/runs/prune-output.ts';
import { Store } from '../../../controller/store/store.ts';
import type { GetRunResponse } from '../../../proto/gen/kompose/v1/fleet.ts';
import type { RunEvent } from '../../../proto/gen/kompose/v1/event.ts';
import { Inbox, type StreamEnd } from './inbox.ts';
import { began, succeeding } from './test-agent.ts';
import { call, TestController } from './test-controller.ts';
import type { TestUser } from './test-user.ts';

/** Asks for a run's output until it is refused. */
async function untilRefused(user: TestUser, run: string): Promise<StreamEnd> {
  const untilMs = Date.now() + 10_000;
  while (Date.now() < untilMs) {
    const inbox = new Inbox<RunEvent>(user.client.watchRun({ runId: run, afterSeq: 0 }, user.metadata));
    const end = await inbox.ended;
    if (end.code !== undefined) return end;
  }
  throw new Error(`the output of ${run} is shown still`);
}

/** A controller with one run that has ended, and one that goes on. */
async function withTwoRuns(t: Parameters<typeof TestController.start>[0]) {
  const controller = await TestController.start(t);
  const admin = await controller.admin();
  const { agent, identity } = await controller.online('prod-1', ['news', 'sexy']);
  const first = admin.run({ pattern: 'news' });
  const { run: ended } = await first.started();
  await agent.finish((await agent.asked()).taskId);
  await first.finished();
  const { run: live } = await admin.run({ pattern: 'sexy' }).started();
  const { taskId } = await agent.asked();
  const report = agent.report();
  await report.open(taskId);
  await report.send(1, began);
  return { controller, admin, identity, ended, live, taskId };
}

describe('the output of runs', () => {
  test('goes once there is too much of it, and attach says so; the run that goes on keeps its own', async (t) => {
    const { controller, admin, identity, ended, live, taskId } = await withTwoRuns(t);
    await controller.restart({ keptRuns: { ageMs: 1e9, bytes: 0 } });
    const user = controller.readmit(admin);
    const { code, message } = await untilRefused(user, ended);
    assert.equal(code, 'not-found');
    assert.match(
      message,
      new RegExp(`output of run ${ended} is not kept any more: .*kompose runs show ${ended}`),
    );
    const shown = await call<GetRunResponse>((done) =>
      user.client.getRun({ runId: ended }, user.metadata, done),
    );
    assert.equal(shown.run?.state, 'succeeded');
    const records = controller.audit('runs.pruned');
    assert.deepEqual(
      records.map(({ actor, detail }) => [actor.name, detail?.['runs']]),
      [['controller', 1]],
    );
    const watched = user.watch(live);
    const back = controller.attach(identity, { openTasks: [taskId] });
    await back.welcomed();
    await back.finish(taskId);
    assert.equal((await watched).at(0)?.event.type, 'run.started');
  });

  test('goes while the controller serves, when a run ends and there is too much', async (t) => {
    const controller = await TestController.start(t, { keptRuns: { ageMs: 1e9, bytes: 30_000 } });
    const admin = await controller.admin();
    const { agent } = await controller.online('prod-1', ['sexy']);
    const ids: string[] = [];
    for (const word of ['first', 'second']) {
      const run = admin.run();
      ids.push((await run.started()).run);
      await agent.finish((await agent.asked()).taskId, succeeding(word.padEnd(20_000, '.')));
      await run.finished();
    }
    const [first = '', second = ''] = ids;
    assert.equal((await untilRefused(admin, first)).code, 'not-found');
    assert.equal((await admin.watch(second)).at(-1)?.event.type, 'run.finished');
    assert.equal(controller.audit('runs.pruned').length, 1);
  });

  test('is removed with all its files, also what a killed controller had not got to', async (t) => {
    const { controller, ended, live } = await withTwoRuns(t);
    const runsFolder = join(controller.folder, 'runs');
    const path = join(runsFolder, `${ended}.events`);
    mkdirSync(`${path}.rings`);
    writeFileSync(join(`${path}.rings`, '1-0'), 'x'.repeat(5000));
    const store = await Store.open(databasePath(controller.folder));
    t.after(() => store.close());
    const deps = { store, runsFolder, isLive: (run: string) => run === live, clock: Date.now };
    const prune = (bytes: number): Promise<number> =>
      pruneOutput({ ...deps, kept: { ageMs: 1e9, bytes } }, new AbortController().signal);
    await prune(1e6);
    assert.ok(existsSync(path));
    await prune(4000);
    assert.ok(!existsSync(path) && !existsSync(`${path}.rings`));
    assert.ok(existsSync(join(runsFolder, `${live}.events`)));
    writeFileSync(path, 'left behind');
    await prune(1e6);
    assert.ok(!existsSync(path));
    assert.equal(controller.audit('runs.pruned').length, 1);
  });
});
