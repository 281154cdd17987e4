import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterRestart } from '../../../../agent/tasks/after-restart.ts';
import { outlivesAgent } from '../../../../agent/tasks/outlives-agent.ts';
import { handoverFormat, type HandedTask } from '../../../../agent/tasks/task-handover.ts';
import type { TaskSpec } from '../../../../agent/tasks/task-spec.ts';

const spec: TaskSpec = {
  task: 'T',
  run: 'R',
  stack: 'sexy',
  command: 'up',
  args: ['-d'],
  env: {},
  timeoutMs: 0,
  dryRun: false,
  hasStdin: false,
  user: 'ada',
};
const handed: HandedTask = { format: handoverFormat, boot: 'this', isLocal: false, scratch: '' };
const waiting = { wasBegun: true, hasStarted: false, events: 1 };
const running = { wasBegun: true, hasStarted: true, events: 5 };
const begun = { wasBegun: true, hasStarted: false, events: 0 };
const unbegun = { ...begun, wasBegun: false };

const rows: readonly [what: string, ...Parameters<typeof afterRestart>, expected: string][] = [
  ['runs', handed, running, 'this', 'go-on'],
  ['waits for its turn', handed, waiting, 'this', 'go-on'],
  ['was about to run', handed, begun, 'this', 'go-on'],
  ['was accepted, and not begun', handed, unbegun, 'this', 'forget'],
  ['was not begun when the machine went down', { ...handed, boot: 'before' }, unbegun, 'this', 'forget'],
  ['waits for longer than its id is kept', handed, { ...waiting, wasBegun: false }, 'this', 'go-on'],
  ['of a caller on this host was accepted only', { ...handed, isLocal: true }, unbegun, 'this', 'cancelled'],
  ['an agent of another version began', { ...handed, format: 0 }, running, 'this', 'lost'],
  ['ran when the machine went down', { ...handed, boot: 'before' }, running, 'this', 'lost'],
  ['waited when the machine went down', { ...handed, boot: 'before' }, waiting, 'this', 'cancelled'],
  ['of a caller on this host runs', { ...handed, isLocal: true }, running, 'this', 'go-on'],
  ['of a caller on this host was not begun', { ...handed, isLocal: true }, waiting, 'this', 'cancelled'],
  ['needs its agent', undefined, running, 'this', 'lost'],
  ['needs its agent and was about to run', undefined, begun, 'this', 'lost'],
  ['was being accepted', undefined, unbegun, 'this', 'forget'],
];

for (const [what, task, told, boot, expected] of rows) {
  test(`a task that ${what}: ${expected}`, () => {
    const after = afterRestart(task, told, boot);
    assert.equal(after.kind === 'end' ? after.state : after.kind, expected);
  });
}

test('outlives its agent if it changes something and nobody has to be there', () => {
  const does = (more: Partial<TaskSpec>): boolean => outlivesAgent({ ...spec, ...more });
  for (const command of ['down', 'pull', 'db:export', 'db:import', 'exec', 'run', 'nonsense'])
    assert.equal(does({ command, args: [] }), true, command);
  for (const more of [
    { command: 'logs' },
    { command: 'up', args: [] },
    { command: 'watch' },
    { command: 'exec', hasStdin: true },
    { command: 'exec', raw: true },
    { dryRun: true },
  ])
    assert.equal(does(more), false, JSON.stringify(more));
});
