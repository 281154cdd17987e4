import { setTimeout as delay } from 'node:timers/promises';
import type { AgentLinkClient, TaskControl, TaskReport } from '../../proto/gen/kompose/v1/agent_link.ts';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { KomposeError } from '../../common/errors.ts';
import type { StdinPiece } from '../tasks/task-stdin.ts';
import { fromStatus } from '../../proto/status.ts';
import { send } from '../../proto/streams.ts';
import type { TaskSpool } from '../tasks/task-spool.ts';
import type { LogRecord } from '../../common/log-tail.ts';

const maxMessageBytes = 256 * 1024;
/**
 * After a message that is not full, what follows within so long goes together: each costs, here and there, more than it
 * holds. Not where a client asks something of a command, and waits for its answer.
 */
const gatherMs = 2;
/** Nearly full. */
const gatheredBytes = 192 * 1024;

/**
 * Sends a task's events from the first that the controller lacks, and takes its acknowledgements, until all are
 * acknowledged; `cancel` ends the task where its stdin is not its user's. Rejects when the link is lost or the signal fires; calling it again goes on where that ended.
 * `not-found`: the controller does not know the task.
 */
export async function reportTask(
  client: AgentLinkClient,
  spool: TaskSpool,
  signal: AbortSignal,
  cancel: (reason: string) => void,
): Promise<void> {
  const stream = client.report();
  const ended = new AbortController();
  const opened = Promise.withResolvers<number>();
  opened.promise.catch(() => undefined);
  const fail = (error: unknown): void => {
    opened.reject(error);
    ended.abort(error);
  };
  const onAbort = (): void => stream.cancel();
  signal.addEventListener('abort', onAbort, { once: true });
  stream.on('error', (error) => fail(fromStatus(error, client.getChannel().getTarget())));
  stream.on('end', () => fail(new Error('the report stream ended')));
  stream.on('data', ({ kind }: TaskControl) => {
    if (kind?.$case === 'stdin') {
      takeStdin(spool, kind.value, { fail, cancel });
    } else if (kind?.$case === 'resize') {
      spool.stdin?.resize(kind.value);
    } else if (kind?.$case === 'ack') {
      spool.acknowledge(kind.value.seq);
      opened.resolve(kind.value.seq);
      if (spool.isAcknowledged) stream.end();
    } else {
      fail(new KomposeError('protocol', 'the controller sent a task something unknown: upgrade the agent'));
    }
  });
  try {
    await send(stream, { kind: { $case: 'opening', value: { taskId: spool.task } } }, ended.signal);
    const afterSeq = await opened.promise;
    spool.stdin?.reportTo((taken, key) => {
      stream.write({ kind: { $case: 'stdinProgress', value: { taken, key } } });
    });
    await sendFrom(stream, spool, afterSeq, ended.signal);
    await untilAcknowledged(spool, ended.signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (!spool.isAcknowledged) stream.cancel();
  }
}

function takeStdin(
  spool: TaskSpool,
  piece: StdinPiece,
  { fail, cancel }: { fail: (error: unknown) => void; cancel: (reason: string) => void },
): void {
  try {
    spool.stdin?.receive(piece);
  } catch (error) {
    const { code, message } = KomposeError.from(error);
    if (code === 'denied') cancel(message);
    else fail(error);
  }
}

async function sendFrom(
  stream: ClientDuplexStream<TaskReport, TaskControl>,
  spool: TaskSpool,
  afterSeq: number,
  signal: AbortSignal,
): Promise<void> {
  for await (const records of spool.log.read(afterSeq, signal)) {
    let size = 0;
    for (const events of batches(records)) {
      await send(stream, { kind: { $case: 'events', value: { events } } }, signal);
      size = events.reduce((sum, { length }) => sum + length, 0);
    }
    if (size < gatheredBytes && !spool.log.isEnded && spool.stdin === undefined)
      await delay(gatherMs, undefined, { signal });
  }
}

/** Events joined to messages of at most about 256 KiB. */
function* batches(records: readonly LogRecord[]): Generator<Uint8Array[]> {
  let batch: Uint8Array[] = [];
  let size = 0;
  for (const { bytes } of records) {
    if (batch.length > 0 && size + bytes.length > maxMessageBytes) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push(bytes);
    size += bytes.length;
  }
  if (batch.length > 0) yield batch;
}

async function untilAcknowledged(spool: TaskSpool, signal: AbortSignal): Promise<void> {
  while (!spool.isAcknowledged) {
    if (signal.aborted) throw signal.reason;
    await spool.nextAcknowledgement(signal);
  }
}
