import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { TaskJournal } from '../../../agent/tasks/task-journal.ts';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import type { TaskFinished } from '../../../common/task-event.ts';
import { eventsOf } from './agents.ts';
import { Bench, defaultSpec } from './bench.ts';
import { exists } from './processes.ts';

const goesOn: TaskSpec = { ...defaultSpec, task: 'K1' };
const needsItsAgent: TaskSpec = { ...goesOn, args: [] };

/** A stack whose action counts its starts, and an agent that was killed while it started a task on it. */
async function killedAgent(t: TestContext, spec: TaskSpec, when: 'before' | 'after') {
  const bench = await Bench.create(t);
  const stack = await bench.stack('sexy', { action: 'echo x >>runs' });
  const script = join(import.meta.dirname, 'agent-killed-at-start.ts');
  const path = bench.host.agentEnv['PATH'] ?? '';
  const args = [script, bench.root, bench.folder, path, JSON.stringify(spec), when];
  const [, signal] = await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit');
  assert.equal(signal, 'SIGKILL');
  return { bench, runs: join(stack, 'runs') };
}

/** The next agent on that folder. */
async function nextAgent(t: TestContext, { folder, host }: Bench) {
  const journal = TaskJournal.open(join(folder, 'begun-tasks'), Date.now);
  t.after(() => journal.close());
  const wasBegun = (task: string): boolean => journal.has(task);
  const tasks = await TaskRegistry.open(host, join(folder, 'tasks'), pino({ level: 'silent' }), wasBegun);
  t.after(() => tasks.settled());
  const start = (spec: TaskSpec): void => {
    const endMs = Date.now() + 60_000;
    journal.refuseBegun(spec.task, endMs);
    tasks.start(spec, () => journal.begin(spec.task, endMs));
  };
  return { tasks, start };
}

async function endOf(tasks: TaskRegistry): Promise<TaskFinished> {
  const [spool] = tasks.open;
  assert.ok(spool !== undefined);
  const last = (await eventsOf(spool)).at(-1)?.event;
  assert.ok(last?.type === 'task.finished');
  return last;
}

describe('an agent that is killed while it starts a task', () => {
  for (const spec of [goesOn, needsItsAgent]) {
    const what = spec === goesOn ? 'that goes on without it' : 'that needs it';
    test(`${what}, before that is noted: nothing is left, and the task starts when it is asked for again`, async (t) => {
      const { bench, runs } = await killedAgent(t, spec, 'before');
      const { tasks, start } = await nextAgent(t, bench);
      assert.deepEqual(tasks.open, []);
      assert.deepEqual(await readdir(join(bench.folder, 'tasks')), []);
      const scratch = (await readdir('/dev/shm')).filter((name) => name.startsWith(`kompose-${spec.task}-`));
      assert.deepEqual(scratch, []);
      start(spec);
      assert.equal((await endOf(tasks)).state, 'succeeded');
      assert.equal(await readFile(runs, 'utf8'), 'x\n');
    });
  }

  test('that goes on without it, after that is noted: the next one runs it, once', async (t) => {
    const { bench, runs } = await killedAgent(t, goesOn, 'after');
    const { tasks, start } = await nextAgent(t, bench);
    assert.equal((await endOf(tasks)).state, 'succeeded');
    assert.throws(() => start(goesOn), { code: 'denied' });
    assert.equal(await readFile(runs, 'utf8'), 'x\n');
  });

  test('that needs it, after that is noted: the next one says that it is lost, and nothing has run', async (t) => {
    const { bench, runs } = await killedAgent(t, needsItsAgent, 'after');
    const { tasks, start } = await nextAgent(t, bench);
    const { state, reason } = await endOf(tasks);
    assert.equal(state, 'lost');
    assert.match(reason, /had just accepted the task; nothing tells that it began/);
    assert.throws(() => start(needsItsAgent), { code: 'denied' });
    assert.equal(await exists(runs), false);
  });
});
