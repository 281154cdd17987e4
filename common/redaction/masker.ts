import { MaskStream, type MaskBookmark } from './mask-stream.ts';
import { Matcher } from './matcher.ts';
import { secretPatterns } from './secret-patterns.ts';

export type { MaskBookmark, MaskStream };

/**
 * Hides the secrets of one task, by section 11 of the command contract. Which texts are never masked (ids and
 * names of things) is the caller's to know.
 */
export class Masker {
  readonly #values = new Set<string>();
  #matcher: Matcher | undefined;
  readonly #texts = this.stream();

  constructor(values: Iterable<string> = []) {
    this.add(values);
  }

  /** More values to hide, from the next call on, also in the streams that are open and in what they hold. */
  add(values: Iterable<string>): void {
    const before = this.#values.size;
    for (const value of values) this.#values.add(value);
    if (this.#values.size > before) this.#matcher = undefined;
  }

  /** A stream of output, to be pushed chunk by chunk. One for each of stdout and stderr. */
  stream(): MaskStream {
    return new MaskStream(() => this.#currentMatcher());
  }

  /** A stream that goes on where one stood that hid the same values. */
  resume(bookmark: MaskBookmark): MaskStream {
    return MaskStream.resume(() => this.#currentMatcher(), bookmark);
  }

  /** All that is hidden: as secret as anything. */
  get values(): ReadonlySet<string> {
    return this.#values;
  }

  /** Masks a whole text: an argument, a reason, a log line. */
  maskText(text: string): string {
    const bytes = Buffer.from(text);
    const masked = Buffer.concat([this.#texts.push(bytes), this.#texts.flush()]);
    return masked.equals(bytes) ? text : masked.toString();
  }

  /** Made when first needed: the patterns of several secrets take milliseconds. */
  #currentMatcher(): Matcher | undefined {
    if (this.#matcher === undefined && this.#values.size > 0) {
      this.#matcher = new Matcher(secretPatterns(this.#values));
    }
    return this.#matcher;
  }
}
