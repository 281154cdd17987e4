import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TaskEvent } from '../../../common/task-event.ts';
import { liveLines } from '../../../cli/output/live/live-lines.ts';
import { Progress } from '../../../cli/output/live/progress.ts';
import { painter } from '../../../cli/output/style.ts';
import { textWidth } from '../../../cli/output/text-width.ts';
import { finished, output, stepFinished, stepStarted, targets } from './recorded.ts';

const startMs = 1_000_000;
const screen = { rows: 24, columns: 100 };

function progressOf(names: readonly string[], events: readonly (readonly [number, TaskEvent])[]): Progress {
  const run = { run: 'R1', pattern: '*', command: 'up', args: [], user: 'ada', dryRun: false };
  const progress = new Progress({ type: 'run.started', targets: targets(...names), ...run }, startMs);
  for (const [index, [task, event]] of events.entries()) {
    progress.follow({ seq: index + 2, task, taskSeq: index + 1, timeMs: startMs + 1000, event });
  }
  return progress;
}

function shown(progress: Progress, size = screen, afterMs = 13_400): string[] {
  return liveLines(progress, size, startMs + afterMs, painter(false));
}

const started: TaskEvent = { type: 'task.started' };

test('shows each target’s state, step, time and last line, and the sums', () => {
  const progress = progressOf(
    ['a:one', 'a:two', 'b:three', 'b:four', 'c:five', 'c:six'],
    [
      [1, started],
      [1, stepStarted('action', 'docker compose up')],
      [1, output('Pulling\nPulled 10%\r20%\nand so')],
      [2, { type: 'task.queued', waitingFor: 'run R0 by bob' }],
      [3, finished('failed', 'hook_pre_up ended with exit code 3')],
      [4, finished('succeeded')],
      [5, started],
      [5, stepStarted('pre', 'hook_pre_up')],
      [5, output('done with\n')],
      [5, stepFinished('pre', 'hook_pre_up')],
    ],
  );
  assert.deepEqual(shown(progress), [
    '⠧ a:one    docker compose up  12s  20%',
    '· a:two    waits for run R0 by bob',
    '✘ b:three  failed after 1.2s: hook_pre_up ended with exit code 3',
    '✔ b:four   succeeded in 1.2s',
    '⠧ c:five   hook_pre_up        12s  done with',
    '· c:six    waiting',
    '2 of 6 done: 1 failed, 1 succeeded · 2 running · 2 waiting · 13s',
  ]);
});

test('moves while nothing else does', () => {
  const progress = progressOf(['a:a', 'b:b'], [[1, started]]);
  assert.notDeepEqual(shown(progress, screen, 1000), shown(progress, screen, 1200));
});

test('never counts backwards for a host whose clock is ahead', () => {
  const progress = progressOf(['a:a', 'b:b'], [[1, started]]);
  assert.match(shown(progress, screen, 10)[0] ?? '', / 0s$/);
});

test('colours the marks where colour is wanted', () => {
  const progress = progressOf(['a:a', 'b:b'], [[1, finished('failed', 'why')]]);
  const [first = ''] = liveLines(progress, screen, startMs, painter(true));
  assert.equal(first, '\u001b[31m✘ \u001b[0ma:a  \u001b[31mfailed after 1.2s: why\u001b[0m');
});

const names = Array.from({ length: 40 }, (_, index) => `host-${index + 1}:sexy`);
const busy = progressOf(names, [
  ...Array.from({ length: 12 }, (_, index) => [index + 1, started] as const),
  ...Array.from({ length: 10 }, (_, index) => [index + 13, finished('succeeded')] as const),
  [23, finished('failed', 'why')],
  [24, finished('unreachable', 'away')],
]);

test('shows of a fleet larger than the screen what runs or failed, and counts', () => {
  const lines = shown(busy, { rows: 24, columns: 100 });
  assert.equal(lines.length, 15);
  assert.match(lines[0] ?? '', /^✘ host-23:sexy  failed/);
  assert.match(lines[1] ?? '', /^✘ host-24:sexy  unreachable: away/);
  assert.match(lines[13] ?? '', /^⠧ host-12:sexy/);
  assert.equal(
    lines[14],
    '12 of 40 done: 1 failed, 1 unreachable, 10 succeeded · 12 running · 16 waiting · 13s',
  );
});

test('counts also of those what is too much for the screen', () => {
  const lines = shown(busy, { rows: 9, columns: 80 });
  assert.match(lines[0] ?? '', /^✘ host-23/);
  assert.deepEqual(
    lines.slice(4).map((line) => line.slice(0, 30)),
    ['  … and 10 running', '12 of 40 done: 1 failed, 1 unr'],
  );
});

test('leaves room above, and stays within the screen, whatever its size', () => {
  const odd = progressOf(
    ['a:日本語のスタック', 'b:🚢🐳', ...names],
    [
      [1, started],
      [1, stepStarted('action', 'docker compose up')],
      [1, output('全角の長い行 🚢\u001b[31m red\u001b[0m\t\u0007\n')],
      [2, finished('failed', '日'.repeat(100))],
      ...names.map((_, index) => [index + 3, started] as const),
    ],
  );
  for (let columns = 1; columns < 90; columns++) {
    for (const rows of [1, 2, 3, 4, 10, 24, 60, 200]) {
      const lines = shown(odd, { rows, columns });
      assert.ok(lines.length <= Math.max(1, (rows * 2) / 3), `${lines.length} lines of ${rows}`);
      assert.ok(
        lines.every((line) => textWidth(line) < columns),
        `${columns} columns`,
      );
      assert.doesNotMatch(lines.join(''), /\p{Cc}/u);
    }
  }
});
