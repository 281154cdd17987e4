import type { Logger } from 'pino';
import { KomposeError } from '../../common/errors.ts';
import { findKeeperTools } from '../process/find-program.ts';
import type { KeeperTools } from '../process/keeper.ts';
import { discardKept } from '../process/keeper-folder.ts';
import { outlivesAgent } from './outlives-agent.ts';
import type { Outliving } from './run-task.ts';
import type { StopCause } from './stop-signal.ts';
import { TaskHandover } from './task-handover.ts';
import type { TaskSpec } from './task-spec.ts';
import type { TaskSpool } from './task-spool.ts';

/** The handovers of the tasks that can outlive this process, from their acceptance to their end. */
export class Handovers {
  readonly #outliving = new Map<string, Outliving>();
  /** Undefined where the host lacks what keeps a step: then no task outlives the agent. */
  readonly tools: KeeperTools | undefined;

  /** `path` is the agent's PATH. */
  constructor(path: string | undefined, log: Logger) {
    this.tools = findKeeperTools(path ?? '/usr/bin:/bin');
    if (this.tools === undefined)
      log.warn('steps cannot outlive the agent: the host lacks dd, setsid, cat or sleep');
  }

  has(task: string): boolean {
    return this.#outliving.has(task);
  }

  get(task: string): Outliving | undefined {
    return this.#outliving.get(task);
  }

  /** Of a task that is accepted, if it can outlive this process. Throws `unavailable` when its folder cannot be written. */
  create(spec: TaskSpec, spool: TaskSpool, isLocal: boolean): void {
    const { tools } = this;
    if (tools === undefined || !outlivesAgent(spec)) return;
    try {
      const handover = TaskHandover.create(spool.folder, spec, isLocal);
      this.#outliving.set(spec.task, { handover, tools, count: () => spool.log.count, told: undefined });
    } catch (error) {
      throw new KomposeError('unavailable', `${spool.folder} cannot be written: the task was not accepted`, {
        cause: error,
      });
    }
  }

  /** Of a task that an earlier process left. */
  takeUp(task: string, outliving: Outliving): void {
    this.#outliving.set(task, outliving);
  }

  /** So that the next process ends the task too, should this one be gone before. */
  noteStop(task: string, cause: StopCause): void {
    this.#outliving.get(task)?.handover.noteStop(cause);
  }

  /** The task has ended, is bound to this process from now on, or has not been accepted. */
  forget(task: string): void {
    this.#outliving.get(task)?.handover.forget();
    this.#outliving.delete(task);
  }

  /** Forgets a task that has ended, and removes what its steps have left. */
  async discard(task: string): Promise<void> {
    const folder = this.#outliving.get(task)?.handover.progress?.folder;
    if (folder !== undefined) await discardKept(folder);
    this.forget(task);
  }
}
