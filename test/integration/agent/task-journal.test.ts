import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { TaskJournal } from '../../../agent/tasks/task-journal.ts';

/** The journal of one agent, whose processes come and go, under a clock of the test's. */
async function journal(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-journal-'));
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
    await rm(folder, { recursive: true });
  });
  return { path, clock, start };
}

/** Which tasks began where a file can have a kibibyte, which no line ends at, and then one where it can have more. */
function inLittleSpace(path: string): boolean[] {
  const script = join(import.meta.dirname, 'cramped-journal.ts');
  const shell = 'trap "" XFSZ; ulimit -S -f 1; exec "$@"';
  const words = ['-c', shell, 'bash', process.execPath, script, path];
  const { status, stdout, stderr } = spawnSync('bash', words, { encoding: 'utf8', timeout: 30_000 });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as boolean[];
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

  test('begins nothing that it cannot note to the end, and forgets nothing that comes after', async (t) => {
    const { path, start } = await journal(t);
    const begun = inLittleSpace(path);
    assert.deepEqual(begun.slice(-2), [false, true]);
    const next = start();
    for (const [count, hasBegun] of begun.entries()) {
      const begin = (): void => next.begin(`T${count}`, 20_000);
      if (hasBegun) assert.throws(begin, again, `T${count}`);
      else begin();
    }
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
