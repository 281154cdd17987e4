import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { TaskRegistry } from '../../../agent/tasks/task-registry.ts';
import type { TaskSpec } from '../../../agent/tasks/task-spec.ts';
import type { TaskSpool } from '../../../agent/tasks/task-spool.ts';
import type { NumberedTaskEvent, OutputStream, StepKind } from '../../../common/task-event.ts';
import { decodeTaskEvent } from '../../../proto/event-codec.ts';
import type { Bench } from './bench.ts';

/** An agent's tasks in a process of their own. */
export interface DoomedAgent {
  readonly pid: number;
  /** Resolves when it is gone. */
  kill(): Promise<void>;
  /** Resolves when something else has killed it. */
  readonly killed: Promise<unknown>;
}

export function tasksFolder(bench: Bench): string {
  return join(bench.folder, 'tasks');
}

/** Starts one that goes on with what it finds, and with these tasks; it ends with the test. */
export async function startAgent(
  t: TestContext,
  bench: Bench,
  ...specs: readonly TaskSpec[]
): Promise<DoomedAgent> {
  const agent = spawnAgent(bench, [JSON.stringify(specs)]);
  const killed = once(agent, 'exit');
  const kill = async (): Promise<void> => {
    agent.kill('SIGKILL');
    await killed;
  };
  t.after(kill);
  await once(agent.stdout, 'data');
  return { pid: agent.pid ?? 0, kill, killed };
}

/** Has one begin a task, and kill itself just after the event of that number. */
export async function startAndKill(bench: Bench, spec: TaskSpec, event: number): Promise<void> {
  const agent = spawnAgent(bench, [JSON.stringify([spec]), String(event)]);
  const [, signal] = (await once(agent, 'exit')) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL');
}

function spawnAgent(bench: Bench, args: readonly string[]) {
  const script = join(import.meta.dirname, 'doomed-agent.ts');
  const argv = [script, bench.root, tasksFolder(bench), bench.host.agentEnv['PATH'] ?? '', ...args];
  return spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The last agent, in this process: it goes on with what the others left. `wasBegun` as of the registry. */
export async function lastAgent(
  t: TestContext,
  bench: Bench,
  wasBegun?: (task: string) => boolean,
): Promise<TaskRegistry> {
  const log = pino({ level: 'silent' });
  const registry = await TaskRegistry.open(bench.host, tasksFolder(bench), log, wasBegun);
  t.after(async () => {
    registry.cancelAll('the test is over');
    await registry.settled();
  });
  return registry;
}

/** All events of a task, up to its end. */
export async function eventsOf(spool: TaskSpool, timeoutMs = 20_000): Promise<NumberedTaskEvent[]> {
  const all: NumberedTaskEvent[] = [];
  for await (const records of spool.log.read(0, AbortSignal.timeout(timeoutMs))) {
    for (const { bytes } of records) all.push(decodeTaskEvent(bytes));
  }
  return all;
}

export function outputOf(
  events: readonly NumberedTaskEvent[],
  step: StepKind,
  stream?: OutputStream,
): Buffer {
  const chunks = events.flatMap(({ event }) =>
    event.type === 'output' && event.step === step && (stream ?? event.stream) === event.stream
      ? [event.data]
      : [],
  );
  return Buffer.concat(chunks);
}

/** All but output, as `type step`. */
export function storyOf(events: readonly NumberedTaskEvent[]): string[] {
  return events.flatMap(({ event }) => {
    if (event.type === 'output') return [];
    if (event.type === 'step.started') return [`began ${event.step}`];
    if (event.type === 'step.finished') return [`${event.step} ${event.outcome}`];
    return [event.type === 'task.finished' ? event.state : event.type];
  });
}

/** Of a task whose hooks and action succeed. */
export const wholeStory: readonly string[] = [
  'task.started',
  'began pre',
  'pre succeeded',
  'began action',
  'action succeeded',
  'began post',
  'post succeeded',
  'succeeded',
];
