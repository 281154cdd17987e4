import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { KomposeError } from '../../common/errors.ts';
import type {
  AgentLinkClient,
  AgentMessage,
  ControllerMessage,
  TaskAcks,
} from '../../proto/gen/kompose/v1/agent_link.ts';
import type { LocalRuns } from '../local/local-runs.ts';
import type { TaskRegistry } from '../tasks/task-registry.ts';
import type { TaskSpool } from '../tasks/task-spool.ts';
import { reportOnLink } from './report-on-link.ts';
import { reportTask } from './reporter.ts';

interface TaskReportsOptions {
  readonly host: { readonly tasks: TaskRegistry; readonly localRuns: LocalRuns };
  readonly client: AgentLinkClient;
  readonly stream: ClientDuplexStream<AgentMessage, ControllerMessage>;
  /** Ends the link; only the first call counts. */
  readonly end: (error: KomposeError) => void;
  readonly log: Logger;
}

/** What one link tells of this host's tasks, until its signal fires, and what the controller says that it has of them. */
export class TaskReports {
  readonly #options: TaskReportsOptions;
  readonly #signal: AbortSignal;
  #streams = 0;
  /** Tasks of the hello, until the controller has said how far it has their events. */
  readonly #resuming = new Set<string>();

  constructor(options: TaskReportsOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** Those beside the link. */
  get streams(): number {
    return this.#streams;
  }

  /** Of these the controller is to say from where to go on. */
  resume(tasks: readonly string[]): void {
    for (const task of tasks) this.#resuming.add(task);
  }

  /** Tells of all others that there are, and of each that comes. */
  open(): void {
    const { tasks, localRuns } = this.#options.host;
    const report = (spool: TaskSpool): void => {
      if (!localRuns.isWaiting(spool.task)) void this.#report(spool, 0);
    };
    for (const spool of tasks.open) if (!this.#resuming.has(spool.task)) report(spool);
    tasks.listen(report);
  }

  /** The controller knows the run of these tasks now: they may be reported. */
  begin(targets: readonly { readonly task: string }[]): void {
    const known = new Set(targets.map(({ task }) => task));
    for (const spool of this.#options.host.tasks.open) if (known.has(spool.task)) void this.#report(spool, 0);
  }

  /** Once a task and link; the next link takes up what is left. The acknowledgements come as they come. */
  async #report(spool: TaskSpool, afterSeq: number): Promise<void> {
    try {
      const signal = this.#signal;
      const isTold =
        spool.stdin === undefined && (await reportOnLink(this.#options.stream, spool, afterSeq, signal));
      if (!isTold) await this.#reportAlone(spool);
    } catch (error) {
      if (this.#signal.aborted) return;
      const cut = new KomposeError('controller-unreachable', 'a report was cut off', { cause: error });
      this.#options.end(cut);
    }
  }

  async #reportAlone(spool: TaskSpool): Promise<void> {
    const { client, host } = this.#options;
    this.#streams++;
    try {
      const cancel = (reason: string): void => host.tasks.cancel(spool.task, reason);
      await reportTask(client, spool, this.#signal, cancel);
      host.tasks.forget(spool);
    } catch (error) {
      if (!(error instanceof KomposeError && error.code === 'not-found')) throw error;
      this.#forgetUnknown(spool);
    } finally {
      this.#streams--;
    }
  }

  /** A task of the hello goes on from there, but for one of a local run that the controller is yet to hear of. */
  takeAcks({ known, unknown }: TaskAcks): void {
    const { tasks, localRuns } = this.#options.host;
    for (const { taskId, seq } of known) {
      const spool = tasks.spool(taskId);
      if (spool === undefined || localRuns.isWaiting(taskId)) continue;
      spool.acknowledge(seq);
      if (spool.isAcknowledged) tasks.forget(spool);
      else if (this.#resuming.delete(taskId)) void this.#report(spool, seq);
    }
    for (const taskId of unknown) {
      const spool = tasks.spool(taskId);
      if (spool !== undefined && !localRuns.isWaiting(taskId)) this.#forgetUnknown(spool);
    }
  }

  #forgetUnknown(spool: TaskSpool): void {
    const { host, log } = this.#options;
    log.warn(
      { task: spool.task },
      'the controller does not know this task; it is forgotten once it has ended',
    );
    host.tasks.disown(spool);
  }
}
