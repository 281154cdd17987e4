import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { AgentMessage, ControllerMessage } from '../../proto/gen/kompose/v1/agent_link.ts';
import type { TaskSpool } from '../tasks/task-spool.ts';

type Stream = Pick<ClientDuplexStream<AgentMessage, ControllerMessage>, 'write' | 'writableNeedDrain'>;

/** The link is for small messages: a task with more to tell has a stream of its own. */
const mostBytes = 64 * 1024;
/** What a task tells within so long goes together: each message costs, here and there, more than it holds. */
const gatherMs = 2;
/**
 * That it has begun waits for so long, and goes with all that a short task has to tell. The shortest docker compose takes a
 * tenth of a second: told then, it would be recorded just when the end comes, which would wait for that.
 */
const begunMs = 250;

/**
 * Sends a task's events after `afterSeq` over the agent's link as they come, the last at once. True once all have been
 * sent, false where the rest is too much for it, or the link is full. Rejects with the signal's reason.
 */
export async function reportOnLink(
  stream: Stream,
  spool: Pick<TaskSpool, 'task' | 'log' | 'hasOnlyBegun'>,
  afterSeq: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { task: taskId, log } = spool;
  let room = mostBytes;
  let events: Uint8Array[] = [];
  let timer: NodeJS.Timeout | undefined;
  let waitsMs = 0;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (events.length > 0) stream.write({ kind: { $case: 'taskNews', value: { taskId, events } } });
    events = [];
  };
  const flushWithin = (ms: number): void => {
    if (timer !== undefined && waitsMs <= ms) return;
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
    waitsMs = ms;
  };
  try {
    for await (const records of log.read(afterSeq, signal)) {
      for (const { bytes } of records) room -= bytes.length;
      if (room < 0 || stream.writableNeedDrain) {
        flush();
        return false;
      }
      events.push(...records.map(({ bytes }) => bytes));
      if (log.isEnded) flush();
      else flushWithin(spool.hasOnlyBegun ? begunMs : gatherMs);
    }
    return true;
  } finally {
    clearTimeout(timer);
  }
}
