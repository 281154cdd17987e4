import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writePrivateFile } from '../../common/private-files.ts';
import type { Target } from '../../common/task-event.ts';

/** A run that began on this host, as its record at the controller will say. */
export interface LocalRun {
  readonly run: string;
  /** The run and task whose hook began it; absent if a person did. */
  readonly parent?: { readonly run: string; readonly task: string };
  readonly user: string;
  readonly pattern: string;
  readonly command: string;
  /** Masked. */
  readonly args: readonly string[];
  readonly envNames: readonly string[];
  readonly dryRun: boolean;
  readonly raw?: boolean;
  readonly startedMs: number;
  readonly targets: readonly Target[];
}

/**
 * The records of local runs that the controller has not acknowledged, kept on disk: it may be away when they begin.
 * A run's tasks are reported only when its record is acknowledged. That of a hook's run is kept until its caller has heard
 * its end, too: the caller may come back for it to the next process of the agent, which tells the controller of it anew.
 */
export class LocalRuns {
  readonly #folder: string;
  readonly #waiting = new Map<string, LocalRun>();
  /** Of hooks whose callers have not heard their ends. */
  readonly #followed = new Map<string, LocalRun>();
  /** Those of them that an earlier process began, and nobody has come back for. */
  readonly #left = new Map<string, LocalRun>();
  #listener: (run: LocalRun) => void = () => undefined;

  /** `folder` is private to this agent. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
      const run = JSON.parse(readFileSync(join(folder, file), 'utf8')) as LocalRun;
      this.#waiting.set(run.run, run);
      if (run.parent === undefined) continue;
      this.#followed.set(run.run, run);
      this.#left.set(run.run, run);
    }
  }

  /** Runs of an earlier process whose callers, in hooks, have not come back. */
  get left(): readonly LocalRun[] {
    return [...this.#left.values()];
  }

  /** The caller of such a run is back. */
  claim(run: string): LocalRun | undefined {
    const left = this.#left.get(run);
    this.#left.delete(run);
    return left;
  }

  /** Its caller has heard its end, or never will. */
  over(run: string): void {
    this.#left.delete(run);
    this.#followed.delete(run);
    this.#removeIfDone(run);
  }

  /** Journals a run; resolves when it would survive anything. */
  async add(run: LocalRun): Promise<void> {
    await writePrivateFile(this.#path(run.run), JSON.stringify(run));
    this.#waiting.set(run.run, run);
    if (run.parent !== undefined) this.#followed.set(run.run, run);
    this.#listener(run);
  }

  /** The live link hears of every unacknowledged run, those that wait at once. A later link's takes its place. */
  listen(listener: (run: LocalRun) => void): void {
    this.#listener = listener;
    for (const run of this.#waiting.values()) listener(run);
  }

  /** The controller has the record. Gives the run's tasks, to be reported now. */
  acknowledge(run: string): readonly Target[] {
    const targets = this.#waiting.get(run)?.targets ?? [];
    this.#waiting.delete(run);
    this.#removeIfDone(run);
    return targets;
  }

  #removeIfDone(run: string): void {
    if (!this.#waiting.has(run) && !this.#followed.has(run)) rmSync(this.#path(run), { force: true });
  }

  /** How many runs the controller does not know of yet. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Whether the controller does not know of the task's run yet. */
  isWaiting(task: string): boolean {
    return [...this.#waiting.values()].some(({ targets }) => targets.some((target) => target.task === task));
  }

  #path(run: string): string {
    return join(this.#folder, `${run}.json`);
  }
}
