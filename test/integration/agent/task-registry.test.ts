import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import { eventsOf, startAgent } from './agents.ts';
import { Bench, defaultSpec } from './bench.ts';
import { endProcess, exists, until } from './processes.ts';

const spec = { ...defaultSpec, task: 'T1' };

function open(bench: Bench): Promise<TaskRegistry> {
  return TaskRegistry.open(bench.host, join(bench.folder, 'tasks'), pino({ level: 'silent' }));
}

test('numbers a task’s events from 1 without gaps, to its end', async (t) => {
  const bench = await Bench.create(t);
  await bench.stack('sexy', { hooks: 'hook_pre_up() { echo pre; }', action: 'echo action' });
  const registry = await open(bench);
  const all = await eventsOf(registry.start(spec));
  assert.deepEqual(
    all.map(({ seq }) => seq),
    all.map((_, at) => at + 1),
  );
  assert.equal(all[0]?.event.type, 'task.started');
  assert.equal(all.at(-1)?.event.type, 'task.finished');
  await registry.settled();
});

test('starts a task once, however often it is asked to', async (t) => {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'echo x >>runs' });
  const registry = await open(bench);
  const spool = registry.start(spec);
  assert.equal(registry.start(spec), spool);
  await eventsOf(spool);
  assert.equal(registry.start(spec), spool);
  await registry.settled();
  assert.equal(await readFile(join(folder, 'runs'), 'utf8'), 'x\n');
});

test('keeps a task for its owner’s eyes only until all of it is acknowledged', async (t) => {
  const bench = await Bench.create(t);
  await bench.stack('sexy');
  const registry = await open(bench);
  const spool = registry.start(spec);
  const all = await eventsOf(spool);
  await registry.settled();
  assert.equal((await stat(join(bench.folder, 'tasks'))).mode & 0o777, 0o700);
  assert.equal((await stat(spool.folder)).mode & 0o777, 0o700);
  spool.acknowledge(all.length - 1);
  assert.equal(spool.isAcknowledged, false);
  spool.acknowledge(all.length);
  assert.equal(spool.isAcknowledged, true);
  registry.forget(spool);
  assert.deepEqual(registry.open, []);
  assert.deepEqual(await readdir(join(bench.folder, 'tasks')), []);
});

/** What is in a folder, and how many files this process has open. */
async function leftIn(folder: string): Promise<unknown> {
  return { names: await readdir(folder), open: (await readdir('/proc/self/fd')).length };
}

// The longest path that Linux takes is of 4,095 bytes: it ends the folder's events.log, or the rings beside that.
for (const [what, length] of [
  ['not be opened', 4_090],
  ['be opened, but not read', 4_083],
] as const) {
  test(`leaves nothing of a task whose log could ${what}`, async (t) => {
    const bench = await Bench.create(t);
    const { task } = spec;
    const deep = join(bench.folder, ...Array.from({ length: 19 }, () => 'd'.repeat(200)));
    const folder = join(deep, 'e'.repeat(length - deep.length - task.length - 2));
    const registry = await TaskRegistry.open(bench.host, folder, pino({ level: 'silent' }));
    const before = await leftIn(folder);
    for (const time of ['once', 'again'])
      assert.throws(() => registry.start(spec), /cannot be written: the task was not accepted/, time);
    assert.deepEqual(await leftIn(folder), before);
    assert.equal(registry.has(task), false);
  });
}

test('a task ends failed, and says where to look, after a bug', async (t) => {
  const bench = await Bench.create(t);
  await bench.stack('sexy', { action: 'true' });
  const registry = await open(bench);
  const broken = { ...spec, env: null } as unknown as TaskSpec;
  const last = (await eventsOf(registry.start(broken))).at(-1)?.event;
  assert.ok(last?.type === 'task.finished');
  assert.deepEqual(
    [last.state, last.reason],
    ['failed', 'a bug in kompose: see the log of this host’s agent'],
  );
  await registry.settled();
});

test('forgets no task that still runs', async (t) => {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'touch began; exec sleep 1000' });
  const registry = await open(bench);
  const spool = registry.start(spec);
  await until('the action runs', () => exists(join(folder, 'began')));
  registry.forget(spool);
  assert.deepEqual(registry.open, [spool]);
  registry.cancelAll('the agent is stopping');
  await registry.settled();
  const last = (await eventsOf(spool)).at(-1)?.event;
  assert.equal(last?.type === 'task.finished' && last.state, 'cancelled');
});

test('forgets a task that the controller does not know any more once it has ended', async (t) => {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'touch began; exec sleep 1000' });
  const registry = await open(bench);
  const spool = registry.start(spec);
  await until('the action runs', () => exists(join(folder, 'began')));
  registry.disown(spool);
  assert.deepEqual(registry.open, [spool]);
  registry.cancel(spec.task, 'the run has ended');
  await registry.settled();
  assert.deepEqual(registry.open, []);
  assert.deepEqual(await readdir(join(bench.folder, 'tasks')), []);
});

test('answers a repeated start from an earlier process’s journal', async (t) => {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'echo x >>runs' });
  const first = await open(bench);
  await eventsOf(first.start(spec));
  await first.settled();
  const second = await open(bench);
  const all = await eventsOf(second.start(spec));
  assert.equal(all.at(-1)?.event.type, 'task.finished');
  assert.equal(await readFile(join(folder, 'runs'), 'utf8'), 'x\n');
});

test('says so when it cannot journal, and runs nothing', async (t) => {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'touch ran' });
  const registry = await open(bench);
  await mkdir(join(bench.folder, 'tasks/T1'));
  assert.throws(() => registry.start(spec), { code: 'conflict', message: /T1 was accepted before/ });
  await registry.settled();
  assert.equal(await exists(join(folder, 'ran')), false);
});

test('reports a task that cannot go on without its agent as lost, with what it had shown, and does not start it again', async (t) => {
  const bench = await Bench.create(t);
  const action = 'echo $$ >pid; echo shown; echo x >>runs; touch began; exec sleep 1000';
  const folder = await bench.stack('sexy', { action });
  const log = join(bench.folder, 'tasks/T1/events.log');
  const hasShown = (): Promise<boolean> =>
    readFile(log).then(
      (bytes) => bytes.includes('shown'),
      () => false,
    );
  await killedAgent(t, bench, { ...spec, args: [] }, hasShown);
  const registry = await open(bench);
  const [spool] = registry.open;
  assert.equal(spool?.task, 'T1');
  assert.equal(registry.start(spec), spool);
  const all = await eventsOf(spool);
  assert.deepEqual(
    all.map(({ seq, event }) => [seq, event.type]),
    [
      [1, 'task.started'],
      [2, 'step.started'],
      [3, 'output'],
      [4, 'task.finished'],
    ],
  );
  const last = all.at(-1)?.event;
  assert.ok(last?.type === 'task.finished');
  assert.equal(last.state, 'lost');
  assert.match(last.reason, /the agent was ended while the task ran/);
  assert.equal(await readFile(join(folder, 'runs'), 'utf8'), 'x\n');
});

test('goes on with a task’s journal over no torn record', async (t) => {
  const bench = await Bench.create(t);
  const action = 'echo $$ >pid; touch began; exec sleep 1000';
  const folder = await bench.stack('sexy', { action });
  await killedAgent(t, bench, spec, () => exists(join(folder, 'began')));
  await appendFile(join(bench.folder, 'tasks/T1/events.log'), Buffer.from([200, 0, 0, 0, 1, 2]));
  const registry = await open(bench);
  const [spool] = registry.open;
  assert.ok(spool !== undefined);
  registry.cancel('T1', 'because');
  assert.deepEqual(
    (await eventsOf(spool)).map(({ seq }) => seq),
    [1, 2, 3, 4],
  );
});

/** An agent with one task, killed as soon as `isTime`. */
async function killedAgent(
  t: TestContext,
  bench: Bench,
  task: TaskSpec,
  isTime: () => Promise<boolean>,
): Promise<void> {
  const agent = await startAgent(t, bench, task);
  await until('the action runs', isTime);
  const orphan = Number(await readFile(join(bench.root, 'sexy/pid'), 'utf8'));
  t.after(() => endProcess(orphan));
  await agent.kill();
}
