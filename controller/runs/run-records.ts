import type { Transaction } from 'kysely';
import type { StepFinished, TaskFinished } from '../../common/task-event.ts';
import type { SignedMark } from '../../common/audit/signed-head.ts';
import { record, type Actor, type AuditEntry } from '../audit/audit.ts';
import type { AuditNotary } from '../audit/audit-notary.ts';
import { keepScript } from '../audit/kept-scripts.ts';
import { toBase64 } from '../store/base64.ts';
import type { Schema } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { RunOutcome } from '../../common/run-outcome.ts';
import type { Cancellation, Repeatable, RunCaller, RunFacts, TaskFacts, TaskNews } from './run-facts.ts';
import { beginTask, endTask, insertStep, insertTasks } from './task-rows.ts';

/** The rows and audit records of runs; each method is one transaction, durable when it resolves. */
export class RunRecords {
  readonly #store: Store;
  readonly #seal: AuditNotary['seal'];
  readonly #clock: () => number;

  constructor(store: Store, notary: Pick<AuditNotary, 'seal'>, clock: () => number) {
    this.#store = store;
    this.#seal = (write) => notary.seal(write);
    this.#clock = clock;
  }

  /** Before any agent hears of it; without `repeatable` it cannot be repeated. Throws `unavailable`. */
  started(
    run: RunFacts,
    tasks: readonly TaskFacts[],
    envNames: readonly string[],
    repeatable?: Repeatable,
  ): Promise<void> {
    return this.#store.write(async (transaction) => {
      await transaction
        .insertInto('runs')
        .values({
          id: run.id,
          pattern: run.pattern,
          command: run.command,
          args: JSON.stringify(run.args),
          user: run.actor.name,
          state: 'running',
          started_at: run.startedMs,
          finished_at: null,
          exit_code: null,
          targets: tasks.length,
          counts: '{}',
          dry_run: run.dryRun ? 1 : 0,
          caller: JSON.stringify(callerOf(run)),
        })
        .execute();
      await insertTasks(transaction, run.id, tasks, repeatable);
      if (repeatable !== undefined) await insertRequest(transaction, run.id, repeatable);
      await record(transaction, this.#clock(), {
        type: 'run.started',
        ...about(run),
        ...(repeatable?.retryOf === undefined ? {} : { retryOf: repeatable.retryOf }),
        pattern: run.pattern,
        ...(run.key === undefined ? {} : { key: run.key }),
        ...(run.raw === true ? { raw: true } : {}),
        ...run.filter,
        envNames,
        ...(run.parent === undefined ? {} : { parent: run.parent }),
        targets: tasks.map(({ host, stack }) => `${host}:${stack}`),
      });
    });
  }

  /**
   * What an agent tells of a task, or the controller of its end. Does nothing for what is recorded already: an event may
   * arrive again after a crash.
   */
  told(run: RunFacts, task: TaskFacts, news: TaskNews, agentVersion: string): Promise<void> {
    return this.#store.write(async (transaction) => {
      const timeMs = this.#clock();
      const facts = { ...about(run), ...aboutTask(task) };
      if (news.hasBegun) beginTask(transaction, timeMs, task);
      for (const { place, step } of news.steps) {
        if (insertStep(transaction, task, place, step) === 0) continue;
        await keepTold(transaction, timeMs, step, { ...facts, agentVersion });
        await record(transaction, timeMs, {
          ...whatRan(step),
          ...facts,
          agentVersion,
          outcome: step.outcome,
        });
      }
      if (news.end === undefined || endTask(transaction, timeMs, task, news.end) === 0) return;
      await record(transaction, timeMs, {
        type: 'task.finished',
        ...facts,
        ...outcomeOf(news.end),
        ...(agentVersion === '' ? {} : { agentVersion }),
      });
    });
  }

  cancelled(run: RunFacts, actor: Actor, clientAddress: string, reason: string): Promise<void> {
    const cancellation: Cancellation = { actor, reason };
    return this.#store.write(async (transaction) => {
      await transaction
        .updateTable('runs')
        .set({ cancelled: JSON.stringify(cancellation) })
        .where('id', '=', run.id)
        .where('cancelled', 'is', null)
        .execute();
      await record(transaction, this.#clock(), {
        type: 'run.cancelled',
        ...about(run),
        actor,
        clientAddress,
        reason,
      });
    });
  }

  /**
   * Gives the audit's head over all of the run, if it could be signed. Records nothing of a run that is recorded as ended
   * already. `hadNoStdin`: its client had none to give after all.
   */
  finished(
    run: RunFacts,
    { state, counts, exitCode }: RunOutcome,
    hadNoStdin = false,
  ): Promise<SignedMark | undefined> {
    return this.#seal(async (transaction) => {
      if (hadNoStdin) {
        await transaction
          .updateTable('run_requests')
          .set({ has_stdin: 0 })
          .where('run_id', '=', run.id)
          .execute();
      }
      const { numUpdatedRows } = await transaction
        .updateTable('runs')
        .set({ state, counts: JSON.stringify(counts), exit_code: exitCode, finished_at: this.#clock() })
        .where('id', '=', run.id)
        .where('finished_at', 'is', null)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return;
      const outcome = { outcome: state, exitCode, detail: counts };
      await record(transaction, this.#clock(), { type: 'run.finished', ...about(run), ...outcome });
    });
  }
}

function callerOf({ actor, clientAddress, raw }: RunFacts): RunCaller {
  const { role, certificate } = actor;
  return { role, certificate, clientAddress, ...(raw === true ? { raw } : {}) };
}

async function insertRequest(
  transaction: Transaction<Schema>,
  run: string,
  { request, hasStdin, retryOf, signed }: Repeatable,
): Promise<void> {
  await transaction
    .insertInto('run_requests')
    .values({
      run_id: run,
      request: JSON.stringify(request),
      has_stdin: hasStdin ? 1 : 0,
      retry_of: retryOf ?? null,
      signed_order: toBase64(signed?.order),
    })
    .execute();
}

/** As records have it. */
function outcomeOf({ state, reason, exitCode, dump }: TaskFinished): Partial<AuditEntry> {
  return {
    outcome: state,
    ...(reason === '' ? {} : { reason }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(dump === undefined ? {} : { dump }),
  };
}

/** The text of a hooks.sh, if the step brings it along. */
async function keepTold(
  transaction: Transaction<Schema>,
  timeMs: number,
  { hookSha256: sha256, script }: StepFinished,
  facts: Omit<AuditEntry, 'type'>,
): Promise<void> {
  if (script?.text === undefined) return;
  const kept = { sha256, textSha256: script.textSha256, text: script.text };
  await keepScript(transaction, timeMs, kept, facts);
}

function whatRan({ step, name, exitCode, durationMs, hookSha256, outputSha256, script }: StepFinished) {
  const end = { exitCode, durationMs, outputSha256 };
  if (step === 'action') return { type: 'action.finished', action: { name, ...end } } as const;
  const kept = script === undefined ? {} : { textSha256: script.textSha256 };
  return { type: 'hook.finished', hook: { name, sha256: hookSha256, ...end, ...kept } } as const;
}

function about({ id, command, args, actor, clientAddress, dryRun }: RunFacts) {
  return { run: id, command, args, actor, clientAddress, ...(dryRun ? { dryRun } : {}) };
}

function aboutTask({ id, host, stack }: TaskFacts) {
  return { task: id, host, stack };
}
