import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { findKeeperTools } from '../../../agent/process/find-program.ts';
import { startKept } from '../../../agent/process/kept-process.ts';
import { hookArgv, namesFileOf, noExports, parseExports } from '../../../agent/tasks/hook-wrapper.ts';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import { eventsOf, outputOf, storyOf } from './agents.ts';
import { Bench, defaultSpec } from './bench.ts';
import { exists, until } from './processes.ts';
import { SmallDisk } from './small-disk.ts';

/*
 * The disk of an agent is full, and has room again: a real, small one.
 */

async function onSmallDisk(t: TestContext) {
  const bench = await Bench.create(t);
  const disk = new SmallDisk(t);
  const registry = await TaskRegistry.open(bench.host, disk.path, pino({ level: 'silent' }));
  t.after(() => registry.cancelAll('the test is over'));
  return { bench, disk, registry };
}

for (const command of ['up', 'ps']) {
  test(`a full disk under the output of ${command} ends neither it nor the agent; what is missing is told`, async (t) => {
    const { bench, disk, registry } = await onSmallDisk(t);
    const action =
      'echo early; touch began; until [[ -e go ]]; do sleep 0.01; done; printf "%020000d\\n" 0; touch ended; exit 3';
    const folder = await bench.stack('sexy', { action, hooks: `hook_fail_${command}() { echo failed; }` });
    const spool = registry.start({ ...defaultSpec, task: `F${command}`, command });
    await until('it runs', () => exists(join(folder, 'began')));
    await until('it has told so', () => spool.log.count >= 3);
    const makeRoom = disk.fill();
    await writeFile(join(folder, 'go'), '');
    await until('it has ended', () => exists(join(folder, 'ended')));
    await until('that cannot be written', () => spool.flushed !== undefined);
    makeRoom();
    const events = await eventsOf(spool);
    const story = storyOf(events).filter((each) => each !== 'notice');
    const fail = ['began fail', 'fail succeeded', 'failed'];
    assert.deepEqual(story, ['task.started', 'began action', 'action failed', ...fail]);
    assert.match(outputOf(events, 'action').toString(), /^early\n/);
    const gaps = events.flatMap(({ event }) =>
      event.type === 'notice' && event.outputAt !== undefined ? [event.outputAt.stdout] : [],
    );
    assert.ok((gaps.at(0) ?? 0) >= 'early\n'.length + 20_001, String(gaps));
    await registry.settled();
    const left = await readdir(join(disk.path, spool.task));
    assert.deepEqual(
      left.filter((name) => !name.startsWith('events.log')),
      [],
    );
  });
}

test('a step that there is no room for is not begun, and says so', async (t) => {
  const disk = new SmallDisk(t);
  const tools = findKeeperTools('/usr/bin:/bin');
  assert.ok(tools !== undefined);
  disk.fill();
  const onOutput = (): void => undefined;
  const spec = { argv: ['true'], env: {}, cwd: '/', folder: disk.path, mark: 'F2', tools, onOutput } as const;
  const { exitCode, error } = await startKept(spec).ended;
  assert.equal(exitCode, 127);
  assert.match(error ?? '', /cannot be written: the step was not begun$/);
});

test('a task whose start cannot be written does not start, and ends once there is room', async (t) => {
  const { bench, disk, registry } = await onSmallDisk(t);
  const folder = await bench.stack('sexy', { action: 'touch began' });
  const spool = registry.start({ ...defaultSpec, task: 'F1' });
  const makeRoom = disk.fill();
  await until('that cannot be written', () => spool.flushed !== undefined);
  makeRoom();
  const end = (await eventsOf(spool)).at(-1)?.event;
  assert.ok(end?.type === 'task.finished');
  assert.equal(end.state, 'failed');
  assert.match(end.reason, /cannot be written: the task was not started$/);
  assert.equal(await exists(join(folder, 'began')), false);
});

test('a hook’s exports that there is no room for are noticed, whatever there was room for', async (t) => {
  const bench = await Bench.create(t);
  const hooks = 'hook_pre_up() { export NEW=1; }\n';
  const path = join(await bench.stack('sexy', { hooks }), 'hooks.sh');
  const env = { PATH: process.env['PATH'] ?? '', LONG: 'x'.repeat(3000), OTHER: 'y'.repeat(3000) };
  for (let freePages = 0; freePages < 5; freePages++) {
    const disk = new SmallDisk(t);
    const exportsFile = join(disk.path, 'exports');
    for (const file of [exportsFile, namesFileOf(exportsFile)]) await writeFile(file, noExports);
    const spare = join(disk.path, 'spare');
    await writeFile(spare, Buffer.alloc(freePages * 4096));
    disk.fill();
    await rm(spare);
    const hook = { file: path, exportsFile, replacesShell: false, argv: ['hook_pre_up'] };
    const [file, ...args] = hookArgv(hook);
    assert.equal(spawnSync(file, args, { env }).status, 0);
    const { variables, isTorn } = parseExports(await readFile(exportsFile, 'utf8'));
    // The page that each file had is free as well.
    assert.equal(isTorn, freePages < 1, `${freePages} pages`);
    assert.equal(variables.get('NEW'), isTorn ? undefined : '1');
    assert.equal(variables.get('OTHER'), isTorn ? undefined : env.OTHER);
  }
});
