import { closeSync, fdatasyncSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { isSystemError, KomposeError } from '../../common/errors.ts';
import { writePrivateFileNow } from '../../common/private-files.ts';

/** So many lines are added at least before the file is written anew, without those that count no more. */
const fewestAdded = 512;

/*
 * The ids of the tasks that were begun here at a controller's word, until what was signed for them has lost its force: so
 * that nothing that was signed once is done twice, also long after the task itself was forgotten. A line of the file is
 * `<Unix milliseconds of the end> <task>`.
 *
 * INVARIANTS
 * - An id is on the disk before its task begins.
 * - What ended up to `floor` may have been here: all of that counts as begun, whatever this host's clock shows.
 */
export class TaskJournal {
  readonly #path: string;
  readonly #now: () => number;
  readonly #ends: Map<string, number>;
  #floor: number;
  #file: number;
  #added = 0;
  /** Of the file when it was last written. */
  #kept = 0;
  /** A line could not be written to its end. */
  #isTorn = false;

  private constructor(path: string, now: () => number, ends: Map<string, number>, floor: number) {
    this.#path = path;
    this.#now = now;
    this.#ends = ends;
    this.#floor = floor;
    this.#file = this.#writeAnew();
  }

  /** `path` is private to this agent; `now` gives Unix milliseconds. */
  static open(path: string, now: () => number): TaskJournal {
    const ends = new Map<string, number>();
    let floor = 0;
    for (const [ms, task] of readLines(path)) {
      if (task === '-') floor = Math.max(floor, ms);
      else ends.set(task, ms);
    }
    return new TaskJournal(path, now, ends, floor);
  }

  /** Whether a task was begun whose id is still kept. */
  has(task: string): boolean {
    return this.#ends.has(task);
  }

  /** Throws `denied` for a task that was begun before; `endMs` as for `begin`. */
  refuseBegun(task: string, endMs: number): void {
    if (this.#ends.has(task) || endMs <= this.#floor)
      throw new KomposeError('denied', 'it was begun here before: what is signed is done once');
  }

  /**
   * Notes a task that is about to begin; `endMs` is when its id cannot come again any more. Throws `denied` for one that
   * was begun before, `unavailable` where it cannot be noted: then it may not begin.
   */
  begin(task: string, endMs: number): void {
    this.refuseBegun(task, endMs);
    try {
      // All of it or an error; what an error has left there ends before the next line begins.
      writeFileSync(this.#file, `${this.#isTorn ? '\n' : ''}${endMs} ${task}\n`);
      fdatasyncSync(this.#file);
      this.#isTorn = false;
    } catch (error) {
      this.#isTorn = true;
      throw new KomposeError('unavailable', `${this.#path} cannot be written: the task was not begun`, {
        cause: error,
      });
    }
    this.#ends.set(task, endMs);
    if (++this.#added > Math.max(fewestAdded, this.#kept)) this.#renew();
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Where there is no room for another file, the one that is there grows on: whichever bears the name by then. */
  #renew(): void {
    const before = this.#file;
    try {
      this.#file = this.#writeAnew();
    } catch {
      this.#file = openSync(this.#path, 'a', 0o600);
    }
    closeSync(before);
  }

  /** Without those that have ended. Gives the file, to be written on. */
  #writeAnew(): number {
    for (const [task, endMs] of this.#ends) {
      if (endMs >= this.#now()) continue;
      this.#floor = Math.max(this.#floor, endMs);
      this.#ends.delete(task);
    }
    const lines = [[this.#floor, '-'], ...[...this.#ends].map(([task, endMs]) => [endMs, task])];
    writePrivateFileNow(this.#path, lines.map(([ms, task]) => `${ms} ${task}\n`).join(''));
    this.#added = 0;
    this.#isTorn = false;
    this.#kept = lines.length;
    return openSync(this.#path, 'a', 0o600);
  }
}

/** The last line may be torn: its task did not begin. */
function readLines(path: string): [ms: number, task: string][] {
  try {
    const matches = readFileSync(path, 'utf8').matchAll(/^(\d+) (\S+)\n/gm);
    return Array.from(matches, ([, ms, task]) => [Number(ms), task ?? '']);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}
