import { KomposeError } from '../../common/errors.ts';
import { EventLog } from '../../common/event-log.ts';
import type { TaskCounts, TaskState } from '../../common/task-event.ts';
import { decodeRunEvent, encodeRunEvent } from '../../proto/event-codec.ts';
import type { RunsTable } from '../store/schema.ts';

/** The log of a run that is not live, with its end; the caller closes it. Throws `not-found` for one that was removed. */
export async function openEndedLog(path: string, row: RunsTable | undefined): Promise<EventLog> {
  refuseRemoved(row);
  const log = EventLog.open(path);
  await completeLog(log, row);
  return log;
}

function refuseRemoved(row: RunsTable | undefined): void {
  if (typeof row?.output_removed_at !== 'number') return;
  const day = new Date(row.output_removed_at).toISOString().slice(0, 10);
  const message = `the output of run ${row.id} is not kept any more: it was removed on ${day}, as old as it was or as much as there was`;
  throw new KomposeError('not-found', `${message}; what is known of the run: kompose runs show ${row.id}`);
}

/** A controller that was killed between the last record and the last event left a log without its end. */
async function completeLog(log: EventLog, row: RunsTable | undefined): Promise<void> {
  const last = await log.newest();
  const isComplete = last !== undefined && decodeRunEvent(last.bytes).event.type === 'run.finished';
  if (!isComplete && row?.finished_at !== null && row?.finished_at !== undefined) {
    const outcome = {
      state: row.state as TaskState,
      counts: JSON.parse(row.counts) as TaskCounts,
      exitCode: row.exit_code ?? 1,
      durationMs: row.finished_at - row.started_at,
    };
    log.append(encodeRunEvent(log.count + 1, row.finished_at, { type: 'run.finished', ...outcome }));
  }
  log.end();
}
