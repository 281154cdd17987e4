import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { TaskEvent } from '../../../common/task-event.ts';
import { openOrder, type Order } from '../../../common/signing/order.ts';
import { createSealingSeed, sealingKey, type SealingKey } from '../../../common/sealing.ts';
import { decodeSealedTask } from '../../../proto/sealed-task-codec.ts';
import { encodeTaskEvent } from '../../../proto/event-codec.ts';
import { decodeOrder } from '../../../proto/order-codec.ts';
import {
  AgentHello,
  type AgentLinkClient,
  type AgentMessage,
  type CancelTask,
  type ControllerMessage,
  type StartTask,
  type TaskControl,
  type TaskReport,
  type Welcome,
} from '../../../proto/gen/kompose/v1/agent_link.ts';
import { protocolVersion } from '../../../proto/protocol-version.ts';
import { Inbox } from './inbox.ts';

export type HelloChange = Partial<AgentHello> & { readonly stays?: boolean };

/** What a task's user has signed, as an agent that believes everybody reads it. */
export type AskedTask = Omit<Order, 'env' | 'network'> &
  Pick<StartTask, 'taskId' | 'stack' | 'output'> & {
    readonly env: Readonly<Record<string, string>>;
    readonly network: string | undefined;
  };

export function readTask({ taskId, stack, order, env, network, ...rest }: StartTask): AskedTask {
  const signed = decodeOrder(order);
  return { taskId, stack, output: rest.output, ...signed, ...openOrder(signed, { env, network }) };
}

/** What a host's agent opens what is sealed to it with. */
export function newSealingKey(): Promise<SealingKey> {
  return sealingKey(createSealingSeed());
}

/** An agent that does what a test says, over the real wire. */
export class TestAgent {
  readonly client: AgentLinkClient;
  readonly stream: ClientDuplexStream<AgentMessage, ControllerMessage>;
  readonly inbox: Inbox<ControllerMessage>;

  /** `stays`: it does not go when it is sent away. */
  constructor(client: AgentLinkClient, { stays = false, ...hello }: HelloChange) {
    this.client = client;
    this.stream = client.attach();
    this.stream.on('data', ({ kind }: ControllerMessage) => {
      if (kind?.$case === 'farewell' && !stays) this.stream.cancel();
    });
    this.inbox = new Inbox(this.stream);
    const none = AgentHello.decode(Buffer.alloc(0));
    const nowUnixMs = Date.now();
    this.send({
      $case: 'hello',
      value: { ...none, protocolVersion, nowUnixMs, startedUnixMs: nowUnixMs, ...hello },
    });
  }

  send(kind: NonNullable<AgentMessage['kind']>): void {
    this.stream.write({ kind });
  }

  welcomed(): Promise<Welcome> {
    return this.inbox.next('a welcome', ({ kind }) => (kind?.$case === 'welcome' ? kind.value : undefined));
  }

  /** `key` opens what is sealed. */
  async asked(key?: SealingKey): Promise<AskedTask> {
    const message = await this.inbox.next('a task', ({ kind }) =>
      kind?.$case === 'startTask' ? kind.value : undefined,
    );
    if (message.sealed.length === 0 || key === undefined) return readTask(message);
    const opened = await key.open(message.sealed, message.taskId);
    return readTask({ ...message, ...decodeSealedTask(opened) });
  }

  cancelled(): Promise<CancelTask> {
    return this.inbox.next('a cancel', ({ kind }) => (kind?.$case === 'cancelTask' ? kind.value : undefined));
  }

  /** Resolves when the controller has taken the list: it answers a heartbeat sent after it. */
  async tellStacks(names: readonly string[], requestId = ''): Promise<void> {
    const stacks = names.map((name) => {
      return { name, composeFile: 'compose.yaml', hooks: [], hasEnvFile: false, dumps: 0, services: [] };
    });
    this.send({ $case: 'inventory', value: { stacks, requestId } });
    await this.heartbeat();
  }

  /** Resolves when the controller has taken all that was sent before. */
  async heartbeat(): Promise<void> {
    this.send({
      $case: 'heartbeat',
      value: { nowUnixMs: Date.now(), auditHead: undefined, renewCertificate: false },
    });
    await this.inbox.next('a heartbeat', ({ kind }) =>
      kind?.$case === 'heartbeat' ? kind.value : undefined,
    );
  }

  /** Names of what the controller has sent. */
  get heard(): string[] {
    return this.inbox.all.map(({ kind }) => kind?.$case ?? 'unknown');
  }

  report(): TestReport {
    return new TestReport(this.client.report());
  }

  /** Reports a task from its beginning to its end. */
  async finish(taskId: string, events: readonly TaskEvent[] = succeeding()): Promise<void> {
    const report = this.report();
    const after = await report.open(taskId);
    await report.send(after + 1, events.slice(after));
    report.stream.end();
  }
}

/** A task's report stream. */
export class TestReport {
  readonly stream: ClientDuplexStream<TaskReport, TaskControl>;
  readonly inbox: Inbox<TaskControl>;

  constructor(stream: ClientDuplexStream<TaskReport, TaskControl>) {
    this.stream = stream;
    this.inbox = new Inbox(stream);
  }

  /** The number after which the controller wants to hear on. */
  async open(taskId: string): Promise<number> {
    this.stream.write({ kind: { $case: 'opening', value: { taskId } } });
    return this.acknowledged();
  }

  write(firstSeq: number, events: readonly TaskEvent[]): void {
    const bytes = events.map((event, at) =>
      encodeTaskEvent({ seq: firstSeq + at, timeMs: Date.now(), event }),
    );
    this.stream.write({ kind: { $case: 'events', value: { events: bytes } } });
  }

  /** Returns the number up to which the controller has the events. */
  async send(firstSeq: number, events: readonly TaskEvent[]): Promise<number> {
    this.write(firstSeq, events);
    return this.acknowledged();
  }

  acknowledged(): Promise<number> {
    return this.inbox.next('an acknowledgement', ({ kind }) =>
      kind?.$case === 'ack' ? kind.value.seq : undefined,
    );
  }
}

export function output(text: string): TaskEvent {
  return { type: 'output', step: 'action', stream: 'stdout', data: Buffer.from(text) };
}

const action = { step: 'action', name: 'docker compose up' } as const;

export const began: readonly TaskEvent[] = [
  { type: 'task.started' },
  { type: 'step.started', ...action, argv: [] },
];

export const succeeded: readonly TaskEvent[] = [
  {
    type: 'step.finished',
    ...action,
    outcome: 'succeeded',
    exitCode: 0,
    durationMs: 1,
    hookSha256: '',
    outputSha256: '',
  },
  { type: 'task.finished', state: 'succeeded', exitCode: 0, reason: '', durationMs: 1, actionDecided: true },
];

/** All events of a task that says a word. */
export function succeeding(word = 'done'): readonly TaskEvent[] {
  return [...began, output(word), ...succeeded];
}
