import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { stepFolderOf } from '../../../agent/tasks/task-handover.ts';
import { acquireStackLock } from '../../../agent/tasks/stack-lock.ts';
import type { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import type { TaskSpool } from '../../../agent/tasks/task-spool.ts';
import type { NumberedTaskEvent } from '../../../common/task-event.ts';
import {
  eventsOf,
  lastAgent,
  outputOf,
  startAgent,
  storyOf,
  tasksFolder,
  wholeStory as whole,
} from './agents.ts';
import { Bench, defaultSpec } from './bench.ts';
import { exists, isAlive, until } from './processes.ts';
import { findTraces } from '../../contract/secret-forms.ts';

/*
 * An agent is killed, and the next one goes on: real bash, real kills.
 */

const spec = { ...defaultSpec, task: 'O1' };
/** Prints numbered lines on both streams until the file `go` is there, and how many at last. */
const counting = `
  n=0
  until [[ -e go ]]; do echo "line $((n += 1))"; echo "line $n" >&2; echo $n >printed; done
  echo "total $n"; echo "total $n" >&2
`;

function spoolOf(registry: TaskRegistry, task = 'O1'): TaskSpool {
  const spool = registry.open.find((each) => each.task === task);
  assert.ok(spool !== undefined);
  return spool;
}

function assertNumbered(events: readonly NumberedTaskEvent[]): void {
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, at) => at + 1),
  );
}

function assertCounted(text: string): void {
  const lines = text.trimEnd().split('\n');
  const count = lines.length - 1;
  assert.ok(count > 0);
  assert.deepEqual(lines, [...Array.from({ length: count }, (_, at) => `line ${at + 1}`), `total ${count}`]);
}

async function printed(folder: string): Promise<number> {
  return Number(await readFile(join(folder, 'printed'), 'utf8').catch(() => '0'));
}

async function untilMore(folder: string): Promise<void> {
  const before = await printed(folder);
  await until('it prints', async () => (await printed(folder)) > before + 50);
}

/** Nothing of a task is left but its log. */
async function assertTidy(bench: Bench, task = 'O1'): Promise<void> {
  assert.deepEqual(
    (await readdir(join(tasksFolder(bench), task))).filter((name) => !name.startsWith('events.log')),
    [],
  );
  const shared = await readdir('/dev/shm').catch(() => []);
  assert.deepEqual(
    shared.filter((name) => name.startsWith(`kompose-${task}-`)),
    [],
  );
}

for (const [step, kind] of [
  ['hook', 'pre'],
  ['action', 'action'],
] as const) {
  test(`goes on with a ${step} whose agent is killed twice, with all of its output`, async (t) => {
    const bench = await Bench.create(t);
    const hooks = `hook_pre_up() { export SEEN=yes; ${step === 'hook' ? counting : ''}}\nhook_post_up() { echo "post $SEEN"; }`;
    const action = `echo "action $SEEN"; echo x >>runs; ${step === 'action' ? counting : ''}`;
    const folder = await bench.stack('sexy', { hooks, action });
    for (const specs of [[spec], [], []]) {
      const agent = await startAgent(t, bench, ...specs);
      await untilMore(folder);
      await agent.kill();
      await untilMore(folder);
    }
    const registry = await lastAgent(t, bench);
    assert.equal(registry.start(spec), spoolOf(registry));
    await untilMore(folder);
    await writeFile(join(folder, 'go'), '');
    const events = await eventsOf(spoolOf(registry));
    assert.deepEqual(storyOf(events), whole);
    assertNumbered(events);
    const shown = outputOf(events, kind, 'stdout').toString();
    assertCounted(shown.replace(/^action yes\n/, ''));
    assertCounted(outputOf(events, kind, 'stderr').toString());
    assert.equal(outputOf(events, 'post').toString(), 'post yes\n');
    const end = events.find(({ event }) => event.type === 'step.finished' && event.step === kind)?.event;
    const digest = createHash('sha256').update(outputOf(events, kind)).digest('hex');
    assert.equal(end?.type === 'step.finished' && end.outputSha256, digest);
    assert.equal(await readFile(join(folder, 'runs'), 'utf8'), 'x\n');
    await registry.settled();
    await assertTidy(bench);
  });
}

test('goes on with the plan after a step that ended without an agent', async (t) => {
  const bench = await Bench.create(t);
  // AGENT is the first one's.
  const hooks = `hook_pre_up() { echo one; kill -9 "$AGENT"; echo two; export A=1; }\nhook_post_up() { echo "post $A"; }`;
  const folder = await bench.stack('sexy', { hooks, action: 'echo x >>runs' });
  const agent = await startAgent(t, bench, spec);
  await agent.killed;
  const registry = await lastAgent(t, bench);
  const events = await eventsOf(spoolOf(registry));
  assert.deepEqual(storyOf(events), whole);
  assertNumbered(events);
  assert.equal(outputOf(events, 'pre').toString(), 'one\ntwo\n');
  assert.equal(outputOf(events, 'post').toString(), 'post 1\n');
  assert.equal(await readFile(join(folder, 'runs'), 'utf8'), 'x\n');
});

test('runs each step once, whenever the agent is killed', async (t) => {
  const bench = await Bench.create(t);
  const step = (name: string): string => `echo x >>${name}; echo ${name}; echo ${name} >&2;`;
  const hooks = `hook_pre_up() { ${step('pre')} }\nhook_post_up() { ${step('post')} }`;
  const folder = await bench.stack('sexy', { hooks, action: step('action') });
  // Each agent lives a little longer than the one before, from before the first step to behind the last.
  let agent = await startAgent(t, bench, spec);
  for (let lifeMs = 0; lifeMs < 60; lifeMs += 6) {
    const deadline = performance.now() + lifeMs;
    while (performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
    await agent.kill();
    agent = await startAgent(t, bench);
  }
  await agent.kill();
  const registry = await lastAgent(t, bench);
  const events = await eventsOf(spoolOf(registry));
  assert.deepEqual(storyOf(events), whole);
  assertNumbered(events);
  for (const name of ['pre', 'action', 'post'] as const) {
    assert.equal(await readFile(join(folder, name), 'utf8'), 'x\n');
    assert.equal(outputOf(events, name, 'stdout').toString(), `${name}\n`);
    assert.equal(outputOf(events, name, 'stderr').toString(), `${name}\n`);
  }
});

test('hides a secret of which one agent reads the beginning and the next one the end', async (t) => {
  const bench = await Bench.create(t);
  const hooks =
    'hook_pre_up() { printf "so hunter"; touch began; until [[ -e go ]]; do sleep 0.01; done; printf "2andmore it is"; }';
  const folder = await bench.stack('sexy', { hooks, env: 'DB_PASSWORD=hunter2andmore\n' });
  const agent = await startAgent(t, bench, spec);
  await until('the beginning is told', () => hasTold(bench, 'so '));
  await agent.kill();
  const registry = await lastAgent(t, bench);
  await writeFile(join(folder, 'go'), '');
  const events = await eventsOf(spoolOf(registry));
  assert.equal(outputOf(events, 'pre').toString(), 'so [redacted] it is');
});

async function hasTold(bench: Bench, text: string): Promise<boolean> {
  const log = await readFile(join(tasksFolder(bench), 'O1/events.log')).catch(() => Buffer.alloc(0));
  return log.includes(text);
}

test('keeps no secret on the disk for the next agent: of who waits, of who runs, of what a hook exported', async (t) => {
  const bench = await Bench.create(t);
  const hooks = 'hook_pre_up() { export MADE_TOKEN="made-in-$OF"; OF=; }';
  const folder = await bench.stack('sexy', {
    hooks,
    action: 'touch began; until [[ -e go ]]; do sleep 0.01; done',
    env: 'DB_PASSWORD=hunter2andmore\nOF=thehook\n',
  });
  const given = { ...spec, env: { API_KEY: 'given-to-one' } };
  const waiting = { ...spec, task: 'O2', env: { API_KEY: 'given-to-two' } };
  const agent = await startAgent(t, bench, given, waiting);
  await until('it runs', () => exists(join(folder, 'began')));
  await agent.kill();
  const values = ['hunter2andmore', 'made-in-thehook', 'given-to-one', 'given-to-two'];
  assert.deepEqual(await findTraces(values, tasksFolder(bench), new Map()), []);
  const registry = await lastAgent(t, bench);
  await writeFile(join(folder, 'go'), '');
  for (const task of ['O1', 'O2'])
    assert.equal(storyOf(await eventsOf(spoolOf(registry, task))).at(-1), 'succeeded');
  await registry.settled();
  for (const task of ['O1', 'O2']) await assertTidy(bench, task);
});

test('takes its turn at a stack after the agent that waited was killed, in its old place', async (t) => {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'echo $1 >>runs' });
  const owner = { run: 'R0', task: 'T0', command: 'up', user: 'ada', chain: 'R0' };
  const signal = AbortSignal.timeout(30_000);
  const unlock = await acquireStackLock(bench.root, 'sexy', owner, () => undefined, signal);
  const agent = await startAgent(t, bench, { ...spec, command: 'down', args: [] }, { ...spec, task: 'O2' });
  const locks = join(bench.root, '.kompose/locks/sexy');
  await until('both wait', async () => (await readdir(locks)).length === 3);
  await agent.kill();
  const registry = await lastAgent(t, bench);
  await until('both wait again', () => registry.open.every(({ log }) => log.count > 0));
  assert.equal(await exists(join(folder, 'runs')), false);
  await unlock();
  for (const task of ['O1', 'O2'])
    assert.equal(storyOf(await eventsOf(spoolOf(registry, task))).at(-1), 'succeeded');
  assert.equal((await readFile(join(folder, 'runs'), 'utf8')).split('\n').length, 3);
});

test('keeps the stack’s lock while a step goes on without an agent, and after it, until the next one is there', async (t) => {
  const bench = await Bench.create(t);
  const action = 'touch began; until [[ -e go ]]; do sleep 0.01; done; touch ended';
  const folder = await bench.stack('sexy', { action, hooks: 'hook_post_up() { touch post; }' });
  const agent = await startAgent(t, bench, spec);
  await until('it runs', () => exists(join(folder, 'began')));
  await agent.kill();
  const owner = { run: 'R0', task: 'T0', command: 'up', user: 'ada', chain: 'R0' };
  const waits = Promise.withResolvers<string>();
  const signal = AbortSignal.timeout(30_000);
  const turn = acquireStackLock(bench.root, 'sexy', owner, ({ task }) => waits.resolve(task), signal).then(
    async (unlock) => {
      await unlock();
      return exists(join(folder, 'post'));
    },
  );
  assert.equal(await waits.promise, 'O1');
  await writeFile(join(folder, 'go'), '');
  await until('it has ended', () => exists(join(folder, 'ended')));
  const registry = await lastAgent(t, bench);
  assert.equal(storyOf(await eventsOf(spoolOf(registry))).at(-1), 'succeeded');
  assert.equal(await turn, true);
});

test('holds a step up that nobody reads, and has all of its output once somebody does', async (t) => {
  const bench = await Bench.create(t);
  const bytes = 60_000_000;
  const action = `touch began; until [[ -e go ]]; do sleep 0.01; done; yes 0123456 | head -c ${bytes}; touch ended`;
  const folder = await bench.stack('sexy', { action });
  const agent = await startAgent(t, bench, spec);
  await until('it runs', () => exists(join(folder, 'began')));
  await agent.kill();
  await writeFile(join(folder, 'go'), '');
  const raw = stepFolderOf(join(tasksFolder(bench), 'O1')) ?? '';
  const size = async (): Promise<number> => {
    const sizes = (await readdir(raw)).map(async (name) => (await stat(join(raw, name))).size);
    return (await Promise.all(sizes)).reduce((sum, each) => sum + each);
  };
  await until('there is no more room', async () => (await size()) > 16_000_000);
  assert.ok((await size()) < 21_000_000);
  assert.equal(await exists(join(folder, 'ended')), false);
  const registry = await lastAgent(t, bench);
  const events = await eventsOf(spoolOf(registry));
  assert.equal(storyOf(events).at(-1), 'succeeded');
  const shown = outputOf(events, 'action');
  assert.equal(shown.length, bytes);
  assert.ok(shown.equals(Buffer.alloc(bytes, '0123456\n')));
  await registry.settled();
  await assertTidy(bench);
});

test('ends what it took over, by its deadline and by a cancel, with every process', async (t) => {
  const bench = await Bench.create(t);
  const action =
    'echo $$ >>pids; sleep 1000 & echo $! >>pids; setsid sleep 1001 & echo $! >>pids; touch "began-$KOMPOSE_NOTE"; wait';
  const folder = await bench.stack('sexy', { action });
  const other = await bench.stack('other', { action });
  const specs = [
    { ...spec, timeoutMs: 4000 },
    { ...spec, task: 'O2', stack: 'other' },
  ];
  const agent = await startAgent(t, bench, ...specs);
  for (const each of [folder, other]) await until('it runs', () => exists(join(each, 'began-')));
  await agent.kill();
  const registry = await lastAgent(t, bench);
  registry.cancel('O2', 'because');
  assert.equal(storyOf(await eventsOf(spoolOf(registry))).at(-1), 'timed-out');
  assert.equal(storyOf(await eventsOf(spoolOf(registry, 'O2'))).at(-1), 'cancelled');
  for (const each of [folder, other]) {
    const pids = (await readFile(join(each, 'pids'), 'utf8')).trim().split('\n').map(Number);
    assert.equal(pids.length, 3);
    assert.deepEqual(pids.filter(isAlive), []);
  }
});

test('goes on with a cancel that the killed agent had begun', async (t) => {
  const bench = await Bench.create(t);
  const hooks =
    'hook_pre_up() { trap "" TERM; touch began; while :; do sleep 0.1; done; }\nhook_fail_up() { echo "failed $KOMPOSE_FAILED_STEP"; }';
  const folder = await bench.stack('sexy', { hooks });
  const agent = await startAgent(t, bench, spec);
  await until('it runs', () => exists(join(folder, 'began')));
  await agent.kill();
  await writeFile(
    join(tasksFolder(bench), 'O1/stop.json'),
    JSON.stringify({ state: 'cancelled', reason: 'because' }),
  );
  const registry = await lastAgent(t, bench);
  const events = await eventsOf(spoolOf(registry), 30_000);
  assert.deepEqual(storyOf(events), [
    'task.started',
    'began pre',
    'pre cancelled',
    'began fail',
    'fail succeeded',
    'cancelled',
  ]);
  assert.equal(outputOf(events, 'fail').toString(), 'failed pre\n');
});

test('a task whose agent was killed in the middle of ending it by its deadline has not succeeded', async (t) => {
  const bench = await Bench.create(t);
  const hooks =
    'hook_pre_up() { trap "touch asked; until [[ -e go ]]; do sleep 0.01; done; exit 0" TERM; touch began; while :; do sleep 0.01; done; }';
  const folder = await bench.stack('sexy', { hooks, action: 'touch acted' });
  const agent = await startAgent(t, bench, { ...spec, timeoutMs: 1500 });
  await until('it is asked to end', () => exists(join(folder, 'asked')));
  await agent.kill();
  await writeFile(join(folder, 'go'), '');
  const registry = await lastAgent(t, bench);
  const events = await eventsOf(spoolOf(registry));
  assert.deepEqual(storyOf(events), ['task.started', 'began pre', 'pre timed-out', 'timed-out']);
  assert.equal(await exists(join(folder, 'acted')), false);
});

test('ends what runs of a task that it cannot go on with, before anybody else has its turn', async (t) => {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'echo $$ >pid.new; mv pid.new pid; sleep 1000' });
  const agent = await startAgent(t, bench, spec);
  await until('it runs', () => exists(join(folder, 'pid')));
  await agent.kill();
  const handed = JSON.parse(await readFile(join(tasksFolder(bench), 'O1/handover.json'), 'utf8')) as {
    scratch: string;
  };
  await rm(join(handed.scratch, 'task.json'));
  const registry = await lastAgent(t, bench);
  assert.equal(isAlive(Number(await readFile(join(folder, 'pid'), 'utf8'))), false);
  assert.deepEqual(storyOf(await eventsOf(spoolOf(registry))), ['task.started', 'began action', 'lost']);
});

/** Of the step of the task O1. */
async function processesOf(bench: Bench): Promise<{ keeper: number; step: number }> {
  const raw = stepFolderOf(join(tasksFolder(bench), 'O1')) ?? '';
  const keeper = Number((await readFile(join(raw, 'keeper'), 'utf8')).split(' ')[0]);
  const step = Number(await readFile(join(raw, 'step'), 'utf8'));
  return { keeper, step };
}

/** A task whose step was killed with its agent, as when the machine goes down. */
async function killedStep(t: TestContext): Promise<Bench> {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'echo shown; touch began; exec sleep 1000' });
  const agent = await startAgent(t, bench, spec);
  await until('it runs', () => exists(join(folder, 'began')));
  const { keeper, step } = await processesOf(bench);
  await agent.kill();
  process.kill(keeper, 'SIGKILL');
  process.kill(step, 'SIGKILL');
  await until('both are gone', () => !isAlive(keeper) && !isAlive(step));
  return bench;
}

test('gives a step up that is gone without an exit code, with what it had shown', async (t) => {
  const bench = await killedStep(t);
  const registry = await lastAgent(t, bench);
  const events = await eventsOf(spoolOf(registry));
  assert.deepEqual(storyOf(events), ['task.started', 'began action', 'lost']);
  assert.equal(outputOf(events, 'action').toString(), 'shown\n');
  await registry.settled();
  await assertTidy(bench);
});

test('ends a step whose keeper was killed alone, while its agent was there and while it was not', async (t) => {
  for (const isThere of [true, false]) {
    const bench = await Bench.create(t);
    const folder = await bench.stack('sexy', { action: 'touch began; exec sleep 1000' });
    const agent = await startAgent(t, bench, spec);
    await until('it runs', () => exists(join(folder, 'began')));
    const { keeper, step } = await processesOf(bench);
    if (!isThere) await agent.kill();
    process.kill(keeper, 'SIGKILL');
    const registry = isThere ? undefined : await lastAgent(t, bench);
    await until('the step has ended', () => !isAlive(step));
    if (registry === undefined) await agent.kill();
    const last = registry ?? (await lastAgent(t, bench));
    assert.equal(storyOf(await eventsOf(spoolOf(last))).at(-1), 'lost');
    await last.settled();
    await assertTidy(bench);
  }
});

test('gives a task up that ran when the machine went down, and does not begin one that waited', async (t) => {
  const bench = await killedStep(t);
  const folder = join(tasksFolder(bench), 'O1');
  const task = JSON.parse(await readFile(join(folder, 'handover.json'), 'utf8')) as object;
  await writeFile(join(folder, 'handover.json'), JSON.stringify({ ...task, boot: 'an earlier one' }));
  const registry = await lastAgent(t, bench);
  const end = (await eventsOf(spoolOf(registry))).at(-1)?.event;
  assert.ok(end?.type === 'task.finished');
  assert.deepEqual(
    [end.state, end.reason],
    ['lost', 'the host went down while the task ran; how far it came shows in its output'],
  );
  await assertTidy(bench);
});

test('takes a task whose acceptance was cut off for one that never came', async (t) => {
  const bench = await Bench.create(t);
  const folder = await bench.stack('sexy', { action: 'echo x >>runs' });
  const agent = await startAgent(t, bench);
  await agent.kill();
  const { mkdir } = await import('node:fs/promises');
  await mkdir(join(tasksFolder(bench), 'O1'));
  const registry = await lastAgent(t, bench, () => false);
  assert.deepEqual(registry.open, []);
  assert.equal(storyOf(await eventsOf(registry.start(spec))).at(-1), 'succeeded');
  assert.equal(await readFile(join(folder, 'runs'), 'utf8'), 'x\n');
});

test('leaves a step’s background job alone, and its pipes open', async (t) => {
  const bench = await Bench.create(t);
  const action =
    '(until [[ -e go ]]; do sleep 0.01; done; echo late; echo late; touch survived) & echo early; touch began';
  const folder = await bench.stack('sexy', { action });
  const agent = await startAgent(t, bench, spec);
  await until('it runs', () => exists(join(folder, 'began')));
  await agent.kill();
  const registry = await lastAgent(t, bench);
  const events = await eventsOf(spoolOf(registry));
  assert.equal(storyOf(events).at(-1), 'succeeded');
  assert.equal(outputOf(events, 'action').toString(), 'early\n');
  await registry.settled();
  await writeFile(join(folder, 'go'), '');
  await until('the job ends by itself', () => exists(join(folder, 'survived')));
  await rm(join(folder, 'survived'));
});

test('has all that a step wrote, however much of it is unread when the step ends', async (t) => {
  const bench = await Bench.create(t);
  const bytes = 40_000_000;
  const action = `yes 0123456 | head -c ${bytes}; (sleep 2 &)`;
  await bench.stack('sexy', { action });
  const task = await bench.run();
  assert.equal(task.end.state, 'succeeded');
  assert.equal(task.output('action').length, bytes);
});
