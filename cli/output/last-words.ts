import type { TaskEvent } from '../../common/task-event.ts';
import { printable } from './printable.ts';
import { cutTo } from './text-width.ts';

/** More is to be read where it was said. */
const longestWords = 200;
/** Colours and the like, ECMA-48's "select graphic rendition". */
const colouring = new RegExp(String.raw`\u001b\[[\d;:]*m`, 'g');

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

/** A line of a host's output, without colours and whatever else would move the cursor; bounded. */
export function plainText(line: Uint8Array): string {
  const text = Buffer.from(line).toString('utf8').replaceAll(colouring, '').replaceAll('\t', ' ');
  return cutTo(printable(text.trim()), longestWords);
}
