import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EventLog } from '../../common/event-log.ts';
import type { TaskEvent } from '../../common/task-event.ts';
import { decodeTaskEvent, encodeTaskEvent } from '../../proto/event-codec.ts';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import type { TaskStdin } from './task-stdin.ts';

/*
 * A task's folder on the host: `events.log`, every event of the task as it will be sent, and what its running
 * step needs. The folder is made before the first step (so a task is never started twice) and goes when the
 * controller has acknowledged the last event.
 */
export class TaskSpool {
  readonly task: string;
  readonly folder: string;
  readonly log: EventLog;
  /** Of a task whose action reads the client's stdin. */
  stdin: TaskStdin | undefined;
  readonly #clock: () => number;
  #acknowledged = 0;
  #room = Promise.withResolvers<void>();

  private constructor(task: string, folder: string, clock: () => number) {
    this.task = task;
    this.folder = folder;
    this.log = EventLog.open(join(folder, 'events.log'));
    this.#clock = clock;
  }

  /** Journals the acceptance of a task. Throws `conflict` if it was accepted before. */
  static create(tasksFolder: string, task: string, clock: () => number): TaskSpool {
    const folder = join(tasksFolder, task);
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      if (isSystemError(error, 'EEXIST')) {
        throw new KomposeError('conflict', `task ${task} was accepted before`, { cause: error });
      }
      throw new KomposeError('unavailable', `${tasksFolder} cannot be written: the task was not accepted`, {
        cause: error,
      });
    }
    return new TaskSpool(task, folder, clock);
  }

  /** The tasks that an earlier process of this agent accepted and did not get rid of. */
  static openAll(tasksFolder: string, clock: () => number): TaskSpool[] {
    return readdirSync(tasksFolder).map((task) => new TaskSpool(task, join(tasksFolder, task), clock));
  }

  /** Numbers and keeps an event; ends the log with `task.finished`. */
  record(event: TaskEvent): void {
    this.log.append(encodeTaskEvent({ seq: this.log.count + 1, timeMs: this.#clock(), event }));
    if (event.type === 'task.finished') this.log.end();
  }

  /** Whether the last event is there: asked of the file, after a restart. */
  async hasFinished(): Promise<boolean> {
    if (this.log.count === 0) return false;
    for await (const [record] of this.log.read(this.log.count - 1, AbortSignal.timeout(10_000))) {
      return record !== undefined && decodeTaskEvent(record.bytes).event.type === 'task.finished';
    }
    return false;
  }

  /** The controller has all events up to `seq`. */
  acknowledge(seq: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, seq);
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }

  get isAcknowledged(): boolean {
    return this.log.isEnded && this.#acknowledged >= this.log.count;
  }

  /** Resolves with the next acknowledgement; rejects with the signal's reason. */
  nextAcknowledgement(signal: AbortSignal): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    return Promise.race([this.#room.promise, promise]).finally(() =>
      signal.removeEventListener('abort', onAbort),
    );
  }

  /** Waits until at most `events` are unacknowledged, or until the signal fires. */
  async waitForRoom(events: number, signal: AbortSignal): Promise<void> {
    while (this.log.count - this.#acknowledged > events && !signal.aborted) {
      await this.nextAcknowledgement(signal).catch(() => undefined);
    }
  }

  /** Forgets the task. */
  remove(): void {
    this.log.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
