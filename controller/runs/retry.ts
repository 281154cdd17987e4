import { KomposeError } from '../../common/errors.ts';
import { quoted } from '../../common/quoted.ts';
import { mark } from '../../common/redaction/secret-patterns.ts';
import type { ResolvedTarget } from '../fleet/resolve-targets.ts';
import type { RunRequestsTable, RunsTable, TasksTable } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { KeptRequest } from './kept-request.ts';
import { findRequest, findRun } from './run-queries.ts';
import { allAtOnce } from '../../common/rollout.ts';
import type { RunRequest } from './run-request.ts';

/** What `runs retry` asks for. */
export interface RetryOrder {
  /** The whole id of the run to repeat. */
  readonly run: string;
  /** Those of its tasks that are shown to who repeats it. */
  readonly tasks: readonly RepeatableTask[];
  /** The values of its secret variables. */
  readonly env: Readonly<Record<string, string>>;
  readonly detach: boolean;
}

type RepeatableTask = Pick<TasksTable, 'id' | 'host' | 'stack' | 'state' | 'signature'>;

/** What the repetition of a run would do. */
export interface RetryPlan {
  readonly run: RunsTable;
  /** Those that did not succeed; empty if all did. */
  readonly targets: readonly RetryTarget[];
  readonly args: readonly string[];
  readonly kept: KeptRequest;
  /** What its user signed: a SignedOrder, encoded. */
  readonly order: Uint8Array;
}

/** Where to do it again, and what was signed for it then. */
export interface RetryTarget extends ResolvedTarget {
  readonly task: string;
  /** Empty where nobody signed it. */
  readonly signature: Uint8Array;
}

/**
 * Of these tasks of a run. Throws `not-found`, `conflict` for a run that has not ended, `usage` for one that cannot be
 * repeated.
 */
export async function planRetry(
  store: Store,
  id: string,
  tasks: readonly RepeatableTask[],
): Promise<RetryPlan> {
  const [run, request] = await Promise.all([findRun(store, id), findRequest(store, id)]);
  if (run === undefined) throw new KomposeError('not-found', `there is no run ${id}: kompose runs ls`);
  return retryPlan(run, request, tasks);
}

/** As `planRetry`. Pure. */
export function retryPlan(
  run: RunsTable,
  request: RunRequestsTable | undefined,
  tasks: readonly RepeatableTask[],
): RetryPlan {
  if (run.finished_at === null) {
    throw new KomposeError('conflict', `run ${run.id} has not ended yet: kompose runs attach ${run.id}`);
  }
  const targets = tasks
    .filter(({ state }) => state !== 'succeeded')
    .map(({ id: task, host, stack, signature }) => {
      return { task, host, stack, signature: Buffer.from(signature ?? '', 'base64') };
    });
  const args = JSON.parse(run.args) as string[];
  if (request === undefined) throw cannot(run, 'what it was asked for is not kept');
  const kept = JSON.parse(request.request) as KeptRequest;
  if (targets.length > 0) refuseUnrepeatable(run, request, args);
  return { run, targets, args, kept, order: Buffer.from(request.signed_order ?? '', 'base64') };
}

function refuseUnrepeatable(
  run: RunsTable,
  { has_stdin: hasStdin, signed_order: signedOrder }: RunRequestsTable,
  args: readonly string[],
): void {
  if (hasStdin !== 0) throw cannot(run, 'its standard input is not kept');
  const hidden = args.findIndex((word) => word.includes(mark));
  if (hidden < 0 && signedOrder !== null) return;
  if (hidden < 0) throw cannot(run, 'what its user signed is not kept');
  const word = `its argument ${hidden + 1}, ${quoted(args[hidden] ?? '')},`;
  throw cannot(run, `${word} is not kept whole: it holds, or might hold, a secret`);
}

function cannot(run: RunsTable, why: string): KomposeError {
  return new KomposeError(
    'usage',
    `run ${run.id} cannot be repeated: ${why}; type the command again: kompose ${quoted(run.pattern)} ${run.command} …`,
  );
}

/** The request of the repetition. Throws `usage` where values are missing or too many, `conflict` with no target. Pure. */
export function retryRequest(
  { run, targets, args, kept }: RetryPlan,
  { env, detach }: Pick<RetryOrder, 'env' | 'detach'>,
): RunRequest {
  if (targets.length === 0) throw new KomposeError('conflict', `run ${run.id} succeeded everywhere`);
  refuseOtherNames(kept.secretNames, Object.keys(env));
  return {
    pattern: targets.map(({ host, stack }) => `${host}:${stack}`).join(','),
    command: run.command,
    args,
    filter: { hosts: [], labels: [] },
    env: { ...kept.env, ...env },
    network: kept.network,
    timeoutMs: kept.timeoutMs,
    dryRun: run.dry_run !== 0,
    // Whoever repeats a run asks for that again by typing it.
    raw: false,
    detach,
    hasStdin: false,
    rollout: { ...allAtOnce, ...kept.rollout },
    offline: kept.offline,
  };
}

function refuseOtherNames(needed: readonly string[], given: readonly string[]): void {
  const missing = needed.filter((name) => !given.includes(name));
  if (missing.length > 0) {
    const options = missing.map((name) => `-e ${name}=…`).join(' ');
    throw new KomposeError(
      'usage',
      `secret values, and what might be some, are not kept: give them again with ${options}`,
    );
  }
  const extra = given.find((name) => !needed.includes(name));
  if (extra === undefined) return;
  const message = `-e ${extra} is not asked for: a repetition has the variables of its run`;
  throw new KomposeError('usage', message);
}
