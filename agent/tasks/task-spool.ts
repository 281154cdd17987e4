import { mkdirSync, readdirSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { EventLog } from '../../common/event-log.ts';
import type { TaskEvent } from '../../common/task-event.ts';
import { youngHeapCleaner } from '../../common/young-heap.ts';
import { encodeTaskEvent } from '../../proto/event-codec.ts';
import type { TaskStdin } from './task-stdin.ts';
import { readTold, type Told } from './told-events.ts';
import { UnacknowledgedBytes } from './unacknowledged-bytes.ts';

/** A task has one strand of output. */
const strand = 1;
const logFile = 'events.log';
const retryMs = 500;
/** An agent is small on its host, whatever its tasks print: with 2 MiB its memory would rise by 1 MB more. */
const outputPassed = youngHeapCleaner(1792 * 1024);

/*
 * A task's folder on the host: `events.log`, the events of the task as they will be sent (a bounded part of its
 * output), and what its running step needs. The folder is made before the first step (so a task is never started
 * twice) and goes when the controller has acknowledged the last event.
 *
 * INVARIANTS
 * - A task whose start cannot be written does not start. Once it has, a disk that is full or broken neither ends it nor
 *   this process: output and notices are dropped, with a line that says so; all else waits in memory until it can be
 *   written, in order.
 */
export class TaskSpool {
  readonly task: string;
  readonly folder: string;
  readonly log: EventLog;
  /** Of a task whose action reads the client's stdin. */
  stdin: TaskStdin | undefined;
  readonly #clock: () => number;
  #keptBytes: number;
  readonly #unacknowledged = new UnacknowledgedBytes();
  readonly #written = { stdout: 0, stderr: 0 };
  /** What could not be written yet. */
  readonly #waiting: TaskEvent[] = [];
  #retry: NodeJS.Timeout | undefined;
  #isTorn = false;
  #flushed: PromiseWithResolvers<void> | undefined;
  #hasOnlyBegun = true;

  private constructor(task: string, folder: string, clock: () => number, keptBytes: number) {
    this.task = task;
    this.folder = folder;
    this.log = EventLog.open(join(folder, logFile));
    this.#clock = clock;
    this.#keptBytes = keptBytes;
  }

  /** Journals the acceptance of a task. Throws `conflict` if it was accepted before, `unavailable` if it cannot. */
  static create(tasksFolder: string, task: string, clock: () => number, keptBytes: number): TaskSpool {
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
    try {
      return new TaskSpool(task, folder, clock, keptBytes);
    } catch (error) {
      removeUnbegun(folder);
      throw new KomposeError('unavailable', `${folder} cannot be written: the task was not accepted`, {
        cause: error,
      });
    }
  }

  /** The tasks that an earlier process of this agent accepted and did not get rid of. */
  static openAll(tasksFolder: string, clock: () => number): TaskSpool[] {
    return readdirSync(tasksFolder).map((task) => new TaskSpool(task, join(tasksFolder, task), clock, 0));
  }

  /** It has told nothing yet but that it has begun, and what; of one that an earlier process began nobody looks. */
  get hasOnlyBegun(): boolean {
    return this.#hasOnlyBegun;
  }

  /** Numbers and keeps an event; ends the log with `task.finished`. Throws `unavailable` for a `task.started` only. */
  record(event: TaskEvent): void {
    if (this.#retry !== undefined) return this.#postpone(event);
    try {
      this.#write(event);
    } catch (error) {
      if (event.type === 'task.started') {
        const message = `${this.folder} cannot be written: the task was not started`;
        throw new KomposeError('unavailable', message, { cause: error });
      }
      this.#flushed = Promise.withResolvers();
      this.#postpone(event);
    }
  }

  /** Resolves when all that was recorded is written; undefined if it is. */
  get flushed(): Promise<void> | undefined {
    return this.#flushed?.promise;
  }

  #postpone(event: TaskEvent): void {
    this.#retry ??= setTimeout(() => this.#writeWaiting(), retryMs);
    if (event.type === 'output') {
      this.#written[event.stream] += event.data.length;
      this.#isTorn = true;
    } else if (event.type !== 'notice') this.#waiting.push(event);
  }

  #writeWaiting(): void {
    this.#retry = undefined;
    try {
      if (this.#isTorn) this.log.append(this.#marker(this.log.count + 1));
      this.#isTorn = false;
      for (let [event] = this.#waiting; event !== undefined; [event] = this.#waiting) {
        this.#write(event);
        this.#waiting.shift();
      }
      this.#flushed?.resolve();
      this.#flushed = undefined;
    } catch {
      this.#retry = setTimeout(() => this.#writeWaiting(), retryMs);
    }
  }

  #write(event: TaskEvent): void {
    if (event.type !== 'task.started' && event.type !== 'step.started') this.#hasOnlyBegun = false;
    const bytes = this.#encode(this.log.count + 1, event);
    if (event.type === 'output') {
      const marker = (seq: number): Uint8Array => this.#marker(seq);
      this.log.appendOutput(strand, bytes, { keptBytes: this.#keptBytes, marker });
      this.#written[event.stream] += event.data.length;
      this.#unacknowledged.add(this.log.count, bytes.length);
      outputPassed(bytes.length);
    } else this.log.append(bytes);
    if (event.type === 'task.finished') this.log.end();
  }

  /** What an earlier process recorded, which goes on with so many bytes of output being kept. */
  async recall(keptBytes: number): Promise<Told> {
    this.#keptBytes = keptBytes;
    this.#hasOnlyBegun = false;
    const told = await readTold(this.log);
    Object.assign(this.#written, told.written);
    return told;
  }

  /** The controller has all events up to `seq`. */
  acknowledge(seq: number): void {
    this.#unacknowledged.acknowledge(seq);
  }

  get isAcknowledged(): boolean {
    return this.log.isEnded && this.#unacknowledged.acknowledged >= this.log.count;
  }

  /** Events that the controller may not have; it wants none any more of a task that it has ended. */
  get unacknowledgedCount(): number {
    return Math.max(0, this.log.count - this.#unacknowledged.acknowledged);
  }

  /** Resolves with the next acknowledgement; rejects with the signal's reason. */
  nextAcknowledgement(signal: AbortSignal): Promise<void> {
    return this.#unacknowledged.next(signal);
  }

  /** Undefined, or waits until at most so many bytes of output are unacknowledged, or until the signal fires. */
  waitForRoom(bytes: number, signal: AbortSignal): undefined | Promise<void> {
    return this.#unacknowledged.waitForRoom(bytes, signal);
  }

  /** Forgets the task. */
  remove(): void {
    clearTimeout(this.#retry);
    this.log.close();
    removeFolder(this.folder);
  }

  #encode(seq: number, event: TaskEvent): Uint8Array {
    return encodeTaskEvent({ seq, timeMs: this.#clock(), event });
  }

  #marker(seq: number): Uint8Array {
    const text = 'the host could not keep it until it was sent';
    return this.#encode(seq, { type: 'notice', text, outputAt: { ...this.#written } });
  }
}

/** Most hold their log alone by then: `rmSync` would look through the folder first, in several times the time. */
function removeFolder(folder: string): void {
  try {
    unlinkSync(join(folder, logFile));
    rmdirSync(folder);
  } catch {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** By what needs no descriptor: there may be none left. */
function removeUnbegun(folder: string): void {
  try {
    unlinkSync(join(folder, logFile));
  } catch {
    // It was not made.
  }
  rmdirSync(folder);
}
