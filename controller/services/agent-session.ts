import { randomUUID } from 'node:crypto';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { KomposeError } from '../../common/errors.ts';
import type { Gauges } from '../../common/gauges.ts';
import type { StackStatus, StackSummary } from '../../common/inventory.ts';
import { isSealingKey } from '../../common/sealing.ts';
import { entriesAMessage, type RosterEntry } from '../../common/roster/entry.ts';
import {
  ControllerMessage,
  type AgentHello,
  type AgentMessage,
  type StartTask,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import type { HostSession, MaskQuestion, SignedPart, TaskOrder } from '../fleet/host-session.ts';
import { BoundedWriter } from './bounded-writer.ts';

type Stream = ServerDuplexStream<AgentMessage, ControllerMessage>;
interface Answers {
  rescan: readonly StackSummary[];
  stackStatus: readonly StackStatus[];
  maskWords: readonly string[];
  gauges: Gauges;
}
type Kind = keyof Answers;
type Question = Extract<NonNullable<ControllerMessage['kind']>, { $case: Kind }>;

const answerTimeoutMs = 12_000;

/** What an agent's link ends with, and how much of what it is told it may leave unread. */
export interface LinkEnd {
  readonly end: (error: KomposeError) => void;
  readonly unreadBytes: number;
  /** Takes the connection away, with what waits on it. */
  readonly cut: () => void;
}

/** The live link of one agent, as the rest of the controller sees it, over its Attach stream. */
export class AgentSession implements HostSession {
  readonly host: string;
  readonly instanceId: string;
  readonly instanceStartedMs: number;
  readonly linkNumber: number;
  readonly connectedMs: number;
  readonly sealingKey: Uint8Array | undefined;
  readonly #capabilities: ReadonlySet<string>;
  readonly #writer: BoundedWriter<ControllerMessage>;
  readonly #end: (error: KomposeError) => void;
  readonly #closed = Promise.withResolvers<void>();
  readonly #waiting = new Map<
    string,
    { resolve: (answer: never) => void; reject: (error: unknown) => void }
  >();

  constructor(
    host: string,
    hello: AgentHello,
    stream: Stream,
    nowMs: number,
    { end, unreadBytes: mostBytes, cut }: LinkEnd,
  ) {
    this.host = host;
    this.instanceId = hello.instanceId;
    this.instanceStartedMs = hello.startedUnixMs;
    this.linkNumber = hello.linkNumber;
    this.connectedMs = nowMs;
    // As decoded it is a part of what was read from the socket, all of which would be kept with it.
    this.sealingKey = isSealingKey(hello.sealingKey) ? Uint8Array.from(hello.sealingKey) : undefined;
    this.#capabilities = new Set(hello.capabilities);
    this.#end = end;
    const giveUp = (): void => {
      end(new KomposeError('unreachable', `the agent of ${host} does not read its link`));
      cut();
    };
    this.#writer = new BoundedWriter(stream, { sizeOf, mostBytes, giveUp });
  }

  startTask({ task, signed, ...order }: TaskOrder): void {
    this.send({ $case: 'startTask', value: { ...order, ...toWireSigned(signed), taskId: task } });
  }

  tellRoster(after: number, entries: readonly RosterEntry[]): void {
    for (let at = 0; at < entries.length; at += entriesAMessage) {
      const part = { after: after + at, entries: entries.slice(at, at + entriesAMessage) };
      this.send({ $case: 'roster', value: part });
    }
  }

  cancelTask(task: string, reason: string): void {
    this.send({ $case: 'cancelTask', value: { taskId: task, reason } });
  }

  rescan(): Promise<readonly StackSummary[]> {
    return this.#ask<'rescan'>((requestId) => ({ $case: 'rescan', value: { requestId } }));
  }

  askStatus(): Promise<readonly StackStatus[]> {
    return this.#ask<'stackStatus'>((requestId) => ({ $case: 'stackStatus', value: { requestId } }));
  }

  async maskWords(
    { words, stacks, env, network }: MaskQuestion,
    timeoutMs: number,
  ): Promise<readonly string[]> {
    this.#require('mask-words', 'mask words');
    const question = { words: [...words], stacks: [...stacks], env: { ...env }, network };
    const answer = await this.#ask<'maskWords'>(
      (requestId) => ({ $case: 'maskWords', value: { requestId, ...question } }),
      timeoutMs,
    );
    if (answer.length === words.length) return answer;
    throw new KomposeError('protocol', `the agent of ${this.host} masked ${answer.length} words`);
  }

  async askGauges(): Promise<Gauges> {
    this.#require('gauges', 'tell what it takes');
    return await this.#ask<'gauges'>((requestId) => ({ $case: 'gauges', value: { requestId } }));
  }

  dismiss(returnAfterMs: number): Promise<void> {
    this.send({ $case: 'farewell', value: { returnAfterMs } });
    return this.#closed.promise;
  }

  end(code: 'conflict' | 'denied' | 'unreachable', reason: string): void {
    this.#end(new KomposeError(code, reason));
  }

  /** The agent's answer to a question; one that nobody asked (any more) is dropped. */
  answer(requestId: string, answer: Answers[Kind] | KomposeError): void {
    const waiting = this.#waiting.get(requestId);
    this.#waiting.delete(requestId);
    if (answer instanceof KomposeError) waiting?.reject(answer);
    else waiting?.resolve(answer as never);
  }

  /** The link has ended: nobody will answer any more. */
  close(): void {
    for (const { reject } of this.#waiting.values()) {
      reject(new KomposeError('unreachable', `${this.host} went away before it answered`));
    }
    this.#waiting.clear();
    this.#closed.resolve();
  }

  send(kind: NonNullable<ControllerMessage['kind']>): void {
    this.#writer.write({ kind });
  }

  #require(capability: string, what: string): void {
    if (this.#capabilities.has(capability)) return;
    throw new KomposeError('unsupported', `the agent of ${this.host} cannot ${what}: upgrade it`);
  }

  #ask<Asked extends Kind>(
    question: (requestId: string) => Question,
    timeoutMs = answerTimeoutMs,
  ): Promise<Answers[Asked]> {
    const requestId = randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<Answers[Asked]>();
    const timer = setTimeout(() => {
      this.answer(requestId, new KomposeError('unreachable', `${this.host} did not answer in time`));
    }, timeoutMs);
    this.#waiting.set(requestId, { resolve, reject });
    this.send(question(requestId));
    return promise.finally(() => clearTimeout(timer));
  }
}

/** About: what is sent most is not put together twice. */
function sizeOf(message: ControllerMessage): number {
  const { kind } = message;
  if (kind?.$case === 'heartbeat' || kind?.$case === 'welcome') return someMessage;
  if (kind?.$case === 'taskAcks')
    return someMessage + longestAck * (kind.value.known.length + kind.value.unknown.length);
  if (kind?.$case !== 'startTask') return ControllerMessage.encode(message).finish().length;
  const { order, signature, sealed, env } = kind.value;
  const values = env.reduce((sum, { value }) => sum + value.length, 0);
  return someMessage + order.length + signature.length + sealed.length + values;
}

/** One with nothing in it that may be long. */
const someMessage = 512;
/** A task's id and a number. */
const longestAck = 64;

function toWireSigned(
  signed: SignedPart,
): Pick<StartTask, 'order' | 'signature' | 'env' | 'network' | 'sealed'> {
  const none = new Uint8Array();
  if ('sealed' in signed)
    return { order: none, signature: none, env: [], network: undefined, sealed: signed.sealed };
  const { order, signature, values } = signed;
  return { order, signature, env: [...values.env], network: values.network, sealed: none };
}
