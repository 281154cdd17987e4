import type { ClientDuplexStream } from '@grpc/grpc-js';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentMessage, ControllerMessage } from '../../proto/gen/kompose/v1/agent_link.ts';
import type { TaskSpool } from '../tasks/task-spool.ts';

type Stream = Pick<ClientDuplexStream<AgentMessage, ControllerMessage>, 'write' | 'writableNeedDrain'>;

/** The link is for small messages: a task with more to tell has a stream of its own. */
const mostBytes = 64 * 1024;
/** What a task tells within so long goes together: each message costs, here and there, more than it holds. */
const gatherMs = 2;

/**
 * Sends a task's events after `afterSeq` over the agent's link as they come. True once all have been sent, false where
 * the rest is too much for it, or the link is full. Rejects with the signal's reason.
 */
export async function reportOnLink(
  stream: Stream,
  { task: taskId, log }: Pick<TaskSpool, 'task' | 'log'>,
  afterSeq: number,
  signal: AbortSignal,
): Promise<boolean> {
  let room = mostBytes;
  let events: Uint8Array[] = [];
  let isGathered = false;
  for await (const records of log.read(afterSeq, signal)) {
    for (const { bytes } of records) room -= bytes.length;
    if (room < 0) return false;
    events.push(...records.map(({ bytes }) => bytes));
    if (!log.isEnded && !isGathered) {
      await delay(gatherMs);
      signal.throwIfAborted();
      isGathered = true;
      if (log.count > (records.at(-1)?.seq ?? 0)) continue;
    }
    if (stream.writableNeedDrain) return false;
    stream.write({ kind: { $case: 'taskNews', value: { taskId, events } } });
    events = [];
    isGathered = false;
  }
  return true;
}
