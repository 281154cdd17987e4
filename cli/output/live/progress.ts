import type { RunEvent, RunStarted, TaskEvent, TaskFinished } from '../../../common/task-event.ts';
import { LineBuffer } from '../line-buffer.ts';
import { targetName } from '../prefix.ts';
import { plainText } from '../terminal-text.ts';

/** How far a target is. */
export type TargetProgress =
  | { readonly kind: 'waiting'; readonly waitingFor: string }
  | {
      readonly kind: 'running';
      /** By the host's clock. */
      readonly sinceMs: number;
      /** Empty until the first one begins. */
      readonly step: string;
      readonly lastLine: string;
    }
  | { readonly kind: 'ended'; readonly end: TaskFinished };

/** How far each target of a run is, as its events tell. */
export class Progress {
  /** By the controller's clock. */
  readonly startedMs: number;
  /** `host:stack`, in the order of the run. */
  readonly names: readonly string[];
  readonly #targets: TargetProgress[];
  readonly #lines = new Map<number, LineBuffer>();

  constructor({ targets }: RunStarted, startedMs: number) {
    this.startedMs = startedMs;
    this.names = targets.map(targetName);
    this.#targets = targets.map(() => ({ kind: 'waiting', waitingFor: '' }));
  }

  get targets(): readonly TargetProgress[] {
    return this.#targets;
  }

  follow({ task, timeMs, event }: RunEvent): void {
    if (event.type === 'run.started' || event.type === 'run.finished') return;
    const before = this.#targets[task - 1];
    if (before !== undefined) this.#targets[task - 1] = this.#after(before, task, timeMs, event);
  }

  #after(before: TargetProgress, task: number, timeMs: number, event: TaskEvent): TargetProgress {
    const running = before.kind === 'running' ? before : { ...begun, sinceMs: timeMs };
    switch (event.type) {
      case 'task.queued':
        return { kind: 'waiting', waitingFor: event.waitingFor };
      case 'task.started':
        return running;
      case 'step.started':
        return { ...running, step: event.name, lastLine: '' };
      case 'output':
        return { ...running, lastLine: this.#lastLine(task, event.data) ?? running.lastLine };
      case 'task.finished':
        this.#lines.delete(task);
        return { kind: 'ended', end: event };
      case 'step.finished':
        this.#lines.delete(task);
        return before;
      case 'notice':
      case 'plan.step':
        return before;
    }
  }

  /** The last one that says something, if the bytes complete one. */
  #lastLine(task: number, data: Uint8Array): string | undefined {
    const buffer = this.#lines.get(task) ?? new LineBuffer();
    this.#lines.set(task, buffer);
    const lines = buffer.push(data);
    for (let index = lines.length - 1; index >= 0; index--) {
      const text = plainText(lines[index] ?? new Uint8Array());
      if (text !== '') return text;
    }
    return undefined;
  }
}

const begun = { kind: 'running', step: '', lastLine: '' } as const;
