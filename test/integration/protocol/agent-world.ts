import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signRun } from '../../../cli/sign-run.ts';
import { keyFingerprint } from '../../../common/audit/signed-head.ts';
import { rootEntry } from '../../../common/roster/entry.ts';
import { createSigningKey } from '../../../common/signing/signing-key.ts';
import type { NumberedTaskEvent } from '../../../common/task-event.ts';
import { decodeTaskEvent } from '../../../proto/event-codec.ts';
import {
  Welcome,
  type AgentMessage,
  type ControllerMessage,
  type StartTask,
  type TaskAcks,
  type TaskNews,
  type TaskReport,
} from '../../../proto/gen/kompose/v1/agent_link.ts';
import { RunRequest } from '../../../proto/gen/kompose/v1/fleet.ts';
import { protocolVersion } from '../../../proto/protocol-version.ts';
import type { Bench } from '../agent/bench.ts';
import type { FromAgent, ToAgent } from './agent-process.ts';

const ada = createSigningKey();
const root = rootEntry('ada', ada);
const runId = '01J0000000000000000000000R';
export const taskCount = 3;
const longestMs = 30_000;

/** Counts its starts, waits for its gate, and ends with what stands there. */
export const gatedHooks = `hook_pre_up() {
  echo "$KOMPOSE_TASK_ID" >>starts
  until [[ -s "go-$KOMPOSE_TASK_ID" ]]; do sleep 0.02; done
  return "$(<"go-$KOMPOSE_TASK_ID")"
}`;

/** What a controller knows of a task. */
class ModelTask {
  readonly id: string;
  readonly events: NumberedTaskEvent[] = [];
  isAsked = false;
  isCancelled = false;
  refusal: string | undefined;
  /** What its hook is to end with. */
  gate: number | undefined;

  constructor(place: number) {
    this.id = `01J0000000000000000000000${place}`;
  }

  get end(): string | undefined {
    const last = this.events.at(-1)?.event;
    return last?.type === 'task.finished' ? last.state : undefined;
  }
}

/*
 * A real agent in a process of its own that is killed and started again, and the simplest controller there can be: it asks
 * for tasks, takes each event once and in order, and acknowledges what it has. All that is on its way waits until somebody
 * delivers it, in whatever order, once more, or never.
 */
export class AgentWorld {
  readonly tasks = Array.from({ length: taskCount }, (_, place) => new ModelTask(place));
  readonly #bench: Bench;
  #agent: ChildProcess | undefined;
  readonly #down: ControllerMessage[] = [];
  readonly #up: ({ readonly report: number; readonly message: TaskReport } | TaskNews)[] = [];
  readonly #acks: ({ readonly report: number; readonly seq: number } | TaskAcks)[] = [];
  readonly #taskOf = new Map<number, ModelTask>();
  /** Says what kinds of messages have come. */
  readonly #heard = new EventEmitter();
  #open: readonly string[] = [];

  private constructor(bench: Bench) {
    this.#bench = bench;
  }

  static async create(bench: Bench): Promise<AgentWorld> {
    const world = new AgentWorld(bench);
    await world.startAgent();
    return world;
  }

  async startAgent(): Promise<void> {
    const { folder, root: stacks, host } = this.#bench;
    const script = join(import.meta.dirname, 'agent-process.ts');
    const args = [stacks, folder, host.agentEnv['PATH'] ?? '', keyFingerprint(ada.publicKey)];
    const agent = fork(script, args, { serialization: 'advanced', execArgv: [] });
    agent.on('message', (message: FromAgent) => this.#hear(message));
    await once(agent, 'message');
    this.#agent = agent;
    await this.link();
  }

  async kill(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (agent === undefined) return;
    const gone = once(agent, 'exit');
    agent.removeAllListeners('message');
    agent.kill('SIGKILL');
    await gone;
    this.#forgetLink();
  }

  async link(): Promise<void> {
    this.#forgetLink();
    const greeted = once(this.#heard, 'up');
    await this.#tell({ kind: 'link' });
    await greeted;
  }

  async lose(): Promise<void> {
    this.#forgetLink();
    await this.#tell({ kind: 'lose' });
  }

  /** What was on its way is lost. */
  #forgetLink(): void {
    for (const queue of [this.#down, this.#up, this.#acks]) queue.length = 0;
    this.#taskOf.clear();
  }

  start(task: ModelTask): void {
    task.isAsked = true;
    this.#down.push({ kind: { $case: 'startTask', value: signed(task.id, this.tasks.indexOf(task)) } });
  }

  cancel(task: ModelTask): void {
    task.isCancelled = true;
    this.#down.push({ kind: { $case: 'cancelTask', value: { taskId: task.id, reason: 'ada said so' } } });
  }

  openGate(task: ModelTask, code: number): void {
    if (task.gate !== undefined) return;
    task.gate = code;
    writeFileSync(join(this.#stackOf(task), `go-${task.id}`), String(code));
  }

  async deliverDown(place: number, isRepeated: boolean): Promise<void> {
    const message = take(this.#down, place, isRepeated);
    if (message !== undefined) await this.#tell({ kind: 'down', message });
  }

  async deliverUp(place: number, isRepeated: boolean): Promise<void> {
    const next = take(this.#up, place, isRepeated);
    if (next === undefined) return;
    if ('taskId' in next) this.#takeNews(next);
    else this.#takeReport(next.report, next.message);
  }

  #takeNews({ taskId, events }: TaskNews): void {
    const task = this.#asked(taskId);
    takeEvents(task, events);
    this.#acks.push({ known: [{ taskId, seq: lastSeq(task) }], unknown: [] });
  }

  #takeReport(report: number, { kind }: TaskReport): void {
    if (kind?.$case === 'opening') {
      const task = this.#asked(kind.value.taskId);
      this.#taskOf.set(report, task);
      this.#acks.push({ report, seq: lastSeq(task) });
      return;
    }
    const task = this.#taskOf.get(report);
    if (task === undefined || kind?.$case !== 'events') return;
    takeEvents(task, kind.value.events);
    this.#acks.push({ report, seq: lastSeq(task) });
  }

  #asked(taskId: string): ModelTask {
    const task = this.tasks.find(({ id }) => id === taskId);
    assert.ok(task?.isAsked === true, 'a task is reported that nobody has asked for');
    return task;
  }

  async deliverAck(place: number, isRepeated: boolean): Promise<void> {
    const ack = take(this.#acks, place, isRepeated);
    if (ack === undefined) return;
    if ('known' in ack) {
      await this.#tell({ kind: 'down', message: { kind: { $case: 'taskAcks', value: ack } } });
      return;
    }
    const { report, seq } = ack;
    await this.#tell({
      kind: 'control',
      report,
      message: { kind: { $case: 'ack', value: { seq } } },
    });
  }

  /** From now on all arrives, until all that was asked for has ended and the agent has nothing left to tell. */
  async heal(): Promise<void> {
    for (const task of this.tasks) this.openGate(task, 0);
    if (this.#agent === undefined) await this.startAgent();
    else await this.link();
    const deadline = performance.now() + longestMs;
    while (!this.#isQuiet) {
      while (this.#down.length + this.#up.length + this.#acks.length > 0) {
        await this.deliverDown(0, false);
        await this.deliverUp(0, false);
        await this.deliverAck(0, false);
      }
      const told = once(this.#heard, 'open');
      await this.#tell({ kind: 'ask' });
      await told;
      assert.ok(performance.now() < deadline, 'it does not come to an end though nothing is in its way');
    }
  }

  /** All that was ever asked for arrives again, long after its end, at this process of the agent and at the next. */
  async repeatAll(): Promise<void> {
    for (let time = 0; time < 2; time++) {
      for (const task of this.tasks.filter(({ isAsked }) => isAsked)) {
        this.start(task);
        await this.deliverDown(this.#down.length - 1, false);
      }
      const told = once(this.#heard, 'open');
      await this.#tell({ kind: 'ask' });
      await told;
      assert.deepEqual(this.#open, [], 'what had ended is begun anew');
      if (time > 0) return;
      await this.kill();
      await this.startAgent();
    }
  }

  get #isQuiet(): boolean {
    const isOver = this.tasks.every(
      ({ isAsked, end, refusal }) => !isAsked || (end ?? refusal) !== undefined,
    );
    return isOver && this.#open.length === 0 && this.#up.length === 0;
  }

  /** What must be so of every task in the end. */
  check(): void {
    for (const task of this.tasks) {
      const { id, isAsked, isCancelled, events, end, gate } = task;
      const path = join(this.#stackOf(task), 'starts');
      const starts = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
      const count = starts.filter((line) => line === id).length;
      assert.ok(count <= 1, `task ${id} was started ${count} times`);
      if (!isAsked) {
        assert.equal(count, 0);
        continue;
      }
      assert.ok(end !== undefined, `task ${id} was refused though it had not ended: ${task.refusal}`);
      assert.equal(events.filter(({ event }) => event.type === 'task.finished').length, 1);
      assert.ok(events.filter(({ event }) => event.type === 'task.started').length <= 1);
      if (end === 'cancelled') assert.ok(isCancelled, 'it was cancelled by nobody');
      else {
        assert.equal(end, gate === 0 ? 'succeeded' : 'failed');
        assert.equal(count, 1, `it ended ${end}, and did not begin`);
      }
    }
  }

  #stackOf(task: ModelTask): string {
    return join(this.#bench.root, stackName(this.tasks.indexOf(task)));
  }

  #hear(message: FromAgent): void {
    if (message.kind === 'up') this.#hearLink(message.message);
    else if (message.kind === 'report') this.#up.push(message);
    else if (message.kind === 'open') this.#open = message.tasks;
    this.#heard.emit(message.kind);
  }

  #hearLink({ kind }: AgentMessage): void {
    if (kind?.$case === 'hello') this.#welcome(new Set(kind.value.openTasks));
    if (kind?.$case === 'taskNews') this.#up.push(kind.value);
    if (kind?.$case !== 'taskRefused') return;
    const task = this.tasks.find(({ id }) => id === kind.value.taskId);
    if (task !== undefined && task.end === undefined) task.refusal = kind.value.reason;
  }

  /** What the agent does not have, and has told nothing of, is asked for again. */
  #welcome(openTasks: ReadonlySet<string>): void {
    const welcome = { ...Welcome.decode(Buffer.alloc(0)), protocolVersion, heartbeatPeriodMs: 600_000 };
    const value = { ...welcome, rosterRoot: keyFingerprint(ada.publicKey), rosterCount: 1 };
    void this.#tell({
      kind: 'down',
      message: { kind: { $case: 'roster', value: { after: 0, entries: [root] } } },
    });
    void this.#tell({ kind: 'down', message: { kind: { $case: 'welcome', value } } });
    for (const taskId of openTasks)
      this.#acks.push({ known: [{ taskId, seq: lastSeq(this.#asked(taskId)) }], unknown: [] });
    for (const task of this.tasks) {
      if (!task.isAsked || task.end !== undefined) continue;
      if (!openTasks.has(task.id)) {
        assert.equal(task.events.length, 0, 'the agent has lost a task that it told of');
        this.start(task);
      }
      if (task.isCancelled) this.cancel(task);
    }
  }

  async #tell(message: ToAgent): Promise<void> {
    const agent = this.#agent;
    if (agent === undefined) return;
    await new Promise<void>((resolve) => agent.send(message, () => resolve()));
  }
}

export function stackName(place: number): string {
  return place === 0 ? 'blue' : 'sexy';
}

function lastSeq({ events }: ModelTask): number {
  return events.at(-1)?.seq ?? 0;
}

/** As the controller does: what it has is dropped, what leaves a hole is not taken. */
function takeEvents(task: ModelTask, events: readonly Uint8Array[]): void {
  for (const event of events.map((bytes) => decodeTaskEvent(bytes)))
    if (event.seq === lastSeq(task) + 1) task.events.push(event);
}

/** One of what is on its way; once more later, if it is repeated. */
function take<Each>(queue: Each[], place: number, isRepeated: boolean): Each | undefined {
  if (queue.length === 0) return undefined;
  const at = place % queue.length;
  return isRepeated ? queue[at] : queue.splice(at, 1)[0];
}

function signed(taskId: string, place: number): StartTask {
  const stack = stackName(place);
  const request = { ...RunRequest.decode(Buffer.alloc(0)), pattern: '*', command: 'up', args: ['-d'] };
  const proposal = { runId, targets: [{ taskId, host: 'prod-1', stack }] };
  const { order, env, network, signatures } = signRun({ request }, proposal, ada, Date.now());
  const [signature = Buffer.alloc(0)] = signatures;
  const output = { keptBytes: 1024 * 1024, windowBytes: 0 };
  const rest = { terminalSize: undefined, output, sealed: new Uint8Array() };
  return { taskId, stack, order, signature, env, network, ...rest };
}
