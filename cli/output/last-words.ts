import type { TaskEvent } from '../../common/task-event.ts';
import { plainText } from './terminal-text.ts';

/** What the step that failed said last on stderr, which mostly tells why, for each task. */
export class LastWords {
  readonly #lines = new Map<number, string>();
  readonly #decided = new Set<number>();

  /** `line` is one of stderr's, without its end. */
  hear(task: number, line: Uint8Array): void {
    const text = plainText(line);
    if (text !== '' && !this.#decided.has(task)) this.#lines.set(task, text);
  }

  /** To be told of an event after the lines before it. */
  follow(task: number, event: TaskEvent): void {
    if (this.#decided.has(task)) return;
    if (event.type === 'step.started') this.#lines.delete(task);
    if (event.type !== 'step.finished' || event.outcome === 'succeeded') return;
    this.#decided.add(task);
    if (event.outcome === 'cancelled') this.#lines.delete(task);
  }

  /** Empty if no step failed, or it said nothing. */
  of(task: number): string {
    return this.#decided.has(task) ? (this.#lines.get(task) ?? '') : '';
  }
}
