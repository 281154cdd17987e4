import { KomposeError } from '../../common/errors.ts';
import type { TaskAcks, TaskNews } from '../../proto/gen/kompose/v1/agent_link.ts';
import type { Run } from '../runs/run.ts';
import type { RunRegistry } from '../runs/run-registry.ts';
import { refuseForeignTask } from './take-report.ts';

interface LinkReportsOptions {
  readonly runs: RunRegistry;
  readonly host: string;
  readonly agentVersion: string;
  readonly send: (acks: TaskAcks) => void;
}

/*
 * What an agent tells of its tasks over its own link, and how far it is told that this is known.
 *
 * INVARIANT: a task is waited for once at a time, and acknowledged once a turn: what is held here is bounded by the tasks
 * of the host.
 */
export class LinkReports {
  readonly #options: LinkReportsOptions;
  /** Tasks whose newest events have not been seen yet; whether more came meanwhile. */
  readonly #unseen = new Map<string, boolean>();
  /** By task, what is being taken, and what waits for that: if it fails, nothing that was told after it counts. */
  readonly #taking = new Map<string, Promise<void>>();
  #known = new Map<string, number>();
  #unknown = new Set<string>();
  #isFlushDue = false;

  constructor(options: LinkReportsOptions) {
    this.#options = options;
  }

  /** Says of tasks that the agent has how far their events are known here. */
  resume(tasks: Iterable<string>): void {
    for (const task of tasks) {
      const run = this.#runOf(task);
      if (run !== undefined) this.#tell(task, run.lastSeq(task));
    }
  }

  /** Resolves when the events are in the run's log. Throws what `Run.take` throws. */
  async take({ taskId, events }: TaskNews): Promise<void> {
    const run = this.#runOf(taskId);
    if (run === undefined) return;
    const before = this.#taking.get(taskId) ?? Promise.resolve();
    const taken = before.then(() => run.take(taskId, events, this.#options.agentVersion));
    this.#taking.set(taskId, taken);
    try {
      await taken;
    } finally {
      if (this.#taking.get(taskId) === taken) this.#taking.delete(taskId);
    }
    this.#onceSeen(run, taskId);
  }

  /** Undefined, and the agent hears of it, where there is none. */
  #runOf(task: string): Run | undefined {
    const { runs, host } = this.#options;
    try {
      refuseForeignTask(runs, task, host);
      return runs.ofTask(task);
    } catch (error) {
      if (KomposeError.from(error).code !== 'not-found') throw error;
      this.#unknown.add(task);
      this.#flushSoon();
      return undefined;
    }
  }

  #onceSeen(run: Run, task: string): void {
    if (this.#unseen.has(task)) {
      this.#unseen.set(task, true);
      return;
    }
    const seq = run.lastSeq(task);
    this.#unseen.set(task, false);
    void run.seen().then(() => {
      this.#tell(task, seq);
      const isBehind = this.#unseen.get(task);
      this.#unseen.delete(task);
      if (isBehind === true) this.#onceSeen(run, task);
    });
  }

  #tell(task: string, seq: number): void {
    this.#known.set(task, seq);
    this.#flushSoon();
  }

  /** All that is known in this turn goes together. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    setImmediate(() => {
      this.#isFlushDue = false;
      const known = [...this.#known].map(([taskId, seq]) => ({ taskId, seq }));
      this.#options.send({ known, unknown: [...this.#unknown] });
      this.#known = new Map();
      this.#unknown = new Set();
    });
  }
}
