import { KomposeError } from '../../common/errors.ts';
import type { RunRequestsTable, RunsTable, StepsTable, TasksTable } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { KeptRequest } from './kept-request.ts';

/** A run, and the one that it repeats. */
export interface RunRow extends RunsTable {
  readonly retry_of: string | null;
}

export function findRun(store: Store, id: string): Promise<RunRow | undefined> {
  return runRows(store).where('runs.id', '=', id).executeTakeFirst();
}

function runRows(store: Store) {
  return store.db
    .selectFrom('runs')
    .leftJoin('run_requests', 'run_requests.run_id', 'runs.id')
    .selectAll('runs')
    .select('run_requests.retry_of');
}

/** What is kept to repeat a run; undefined for one that cannot be. */
export function findRequest(store: Store, run: string): Promise<RunRequestsTable | undefined> {
  return store.db.selectFrom('run_requests').selectAll().where('run_id', '=', run).executeTakeFirst();
}

/** The variables of -e that a run was asked for with, as far as it is kept what they were. */
export async function envNamesOf(store: Store, run: string): Promise<string[]> {
  const row = await findRequest(store, run);
  if (row === undefined) return [];
  const { env, secretNames } = JSON.parse(row.request) as KeptRequest;
  return [...Object.keys(env), ...secretNames];
}

export function unfinishedRuns(store: Store): Promise<RunsTable[]> {
  return store.db.selectFrom('runs').selectAll().where('finished_at', 'is', null).orderBy('id').execute();
}

/** Newest first; `limit` 0 means all. Read in pages, so that memory stays bounded. */
export async function* listRuns(store: Store, limit: number): AsyncGenerator<RunRow> {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  let before: string | undefined;
  while (left > 0) {
    let query = runRows(store).orderBy('runs.id', 'desc').limit(Math.min(left, 500));
    if (before !== undefined) query = query.where('runs.id', '<', before);
    const page = await query.execute();
    yield* page;
    before = page.at(-1)?.id;
    if (before === undefined) return;
    left -= page.length;
  }
}

/**
 * Whether a host may say that a hook of this task of its own began a run in this user's name: not if what is known of
 * the run or of the task says otherwise. What is known no more cannot be looked at.
 */
export async function isOwnParent(
  store: Store,
  { run, task, host, user }: Readonly<Record<'run' | 'task' | 'host' | 'user', string>>,
): Promise<boolean> {
  const rows = await store.db
    .selectFrom('tasks')
    .innerJoin('runs', 'runs.id', 'tasks.run_id')
    .select(['tasks.id', 'run_id', 'host', 'user'])
    .where((where) => where.or([where('run_id', '=', run), where('tasks.id', '=', task)]))
    .execute();
  const isIt = (row: (typeof rows)[number]): boolean =>
    row.id === task && row.run_id === run && row.host === host && row.user === user;
  return rows.length === 0 || rows.some(isIt);
}

/** In the order of the run's targets. */
export function tasksOfRun(store: Store, run: string): Promise<TasksTable[]> {
  return store.db.selectFrom('tasks').selectAll().where('run_id', '=', run).orderBy('place').execute();
}

/** Of all tasks of a run, by task and order. */
export function stepsOfRun(store: Store, run: string): Promise<StepsTable[]> {
  return store.db
    .selectFrom('steps')
    .innerJoin('tasks', 'tasks.id', 'steps.task_id')
    .selectAll('steps')
    .where('tasks.run_id', '=', run)
    .orderBy('tasks.place')
    .orderBy('steps.place')
    .execute();
}

const shortestPrefix = 4;

/** The id that a unique prefix means, in any case. Throws `not-found`, `usage` if it is not unique. */
export async function completeRunId(store: Store, prefix: string): Promise<string> {
  const typed = prefix.toUpperCase();
  const ids = /^[0-9A-Z]{1,26}$/.test(typed)
    ? await store.db.selectFrom('runs').select('id').where('id', 'like', `${typed}%`).limit(2).execute()
    : [];
  const [first, second] = ids;
  if (first === undefined || typed.length < shortestPrefix) {
    throw new KomposeError('not-found', `there is no run ${prefix.slice(0, 40)}: kompose runs ls`);
  }
  if (second !== undefined)
    throw new KomposeError('usage', `${prefix} is the beginning of several runs' ids`);
  return first.id;
}
