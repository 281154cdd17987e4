import type { Transaction } from 'kysely';
import type { StepFinished, TaskFinished } from '../../common/task-event.ts';
import { runHot } from '../store/hot-statement.ts';
import { toBase64 } from '../store/base64.ts';
import type { Schema } from '../store/schema.ts';
import type { Repeatable, TaskFacts } from './run-facts.ts';

/** SQLite takes some thousand values a statement. */
const tasksAStatement = 500;

export async function insertTasks(
  transaction: Transaction<Schema>,
  run: string,
  tasks: readonly TaskFacts[],
  repeatable: Repeatable | undefined,
): Promise<void> {
  const none = { state: 'queued', reason: '', exit_code: null, started_at: null, finished_at: null };
  const rows = tasks.map(({ id, place, host, stack }) => {
    const signature = toBase64(repeatable?.signed?.signatures.get(id));
    const sealed = toBase64(repeatable?.sealed.get(id));
    return { id, run_id: run, place, host, stack, signature, sealed, ...none };
  });
  for (let at = 0; at < rows.length; at += tasksAStatement) {
    await transaction
      .insertInto('tasks')
      .values(rows.slice(at, at + tasksAStatement))
      .execute();
  }
}

/** Each task of a run asks for these. */
const hot = {
  begin: `update tasks set state = 'running', started_at = ?, sealed = null where id = ? and finished_at is null`,
  step: `insert into steps (task_id, place, step, name, outcome, exit_code, duration_ms)
    values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing`,
  end: `update tasks set state = ?, reason = ?, exit_code = ?, finished_at = ?, dump = ?, sealed = null
    where id = ? and finished_at is null`,
};

/** Its host has it: what was sealed is needed no more. */
export function beginTask(transaction: Transaction<Schema>, timeMs: number, { id }: TaskFacts): void {
  runHot(transaction, hot.begin, [timeMs, id]);
}

/** Gives how many rows are new. */
export function insertStep(
  transaction: Transaction<Schema>,
  { id }: TaskFacts,
  place: number,
  { step, name, outcome, exitCode, durationMs }: StepFinished,
): number {
  return runHot(transaction, hot.step, [id, place, step, name, outcome, exitCode, durationMs]);
}

/** Gives how many rows have ended by it. */
export function endTask(
  transaction: Transaction<Schema>,
  timeMs: number,
  { id }: TaskFacts,
  { state, reason, exitCode, dump }: TaskFinished,
): number {
  const told = dump === undefined ? null : JSON.stringify(dump);
  return runHot(transaction, hot.end, [state, reason, exitCode ?? null, timeMs, told, id]);
}
