import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { SmallDisk } from './small-disk.ts';
import { TaskJournal } from '../../../agent/tasks/task-journal.ts';

/** The journal of one agent, whose processes come and go, under a clock of the test's. */
async function journal(t: TestContext, isSmall = false) {
  const disk = isSmall ? new SmallDisk(t) : undefined;
  const folder = disk?.path ?? (await mkdtemp(join(tmpdir(), 'kompose-journal-')));
  const path = join(folder, 'begun-tasks');
  const clock = { ms: 1000 };
  let open: TaskJournal | undefined;
  const start = (): TaskJournal => {
    open?.close();
    open = TaskJournal.open(path, () => clock.ms);
    return open;
  };
  t.after(async () => {
    open?.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { path, clock, start, disk };
}

const again = { code: 'denied', message: /begun here before/ };

describe('the journal of tasks', () => {
  test('lets a task begin once, in this process and in the next', async (t) => {
    const { path, start } = await journal(t);
    const first = start();
    first.begin('A', 2000);
    assert.throws(() => first.begin('A', 2000), again);
    assert.throws(() => start().begin('A', 2000), again);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  test('forgets what cannot come again, and refuses what might be that, also when the clock goes back', async (t) => {
    const { path, clock, start } = await journal(t);
    start().begin('A', 2000);
    clock.ms = 2001;
    const next = start();
    assert.equal(await readFile(path, 'utf8'), '2000 -\n');
    clock.ms = 1000;
    assert.throws(() => next.begin('A', 2000), again);
    assert.throws(() => start().begin('A', 2000), again);
    start().begin('B', 2001);
  });

  test('does not mind a line that a power cut has torn', async (t) => {
    const { path, start } = await journal(t);
    start().begin('A', 2000);
    await appendFile(path, '20');
    const next = start();
    assert.throws(() => next.begin('A', 2000), again);
    next.begin('B', 2000);
    assert.throws(() => start().begin('B', 2000), again);
  });

  test('on a full disk lets nothing begin, and goes on once there is room', async (t) => {
    const { clock, start, disk } = await journal(t, true);
    assert.ok(disk !== undefined);
    const running = start();
    // More than it takes to write the file anew, which there is no room for.
    for (let count = 0; count < 500; count++) running.begin(`T${count}`, 5000);
    const makeRoom = disk.fill();
    let begun = 500;
    const beginAll = (): void => {
      for (;;) running.begin(`T${begun++}`, 5000);
    };
    assert.throws(beginAll, { code: 'unavailable' });
    assert.ok(begun > 513, String(begun));
    makeRoom();
    running.begin('after', 5000);
    clock.ms = 2000;
    const next = start();
    for (const task of ['T0', 'T499', `T${begun - 2}`, 'after'])
      assert.throws(() => next.begin(task, 5000), again, task);
    next.begin(`T${begun - 1}`, 5000);
  });

  test('does not grow with what has ended', async (t) => {
    const { path, clock, start } = await journal(t);
    const running = start();
    for (let count = 0; count < 1_500; count++) {
      clock.ms++;
      running.begin(`T${count}`, clock.ms + 10);
    }
    assert.ok((await readFile(path, 'utf8')).split('\n').length < 600);
  });
});
