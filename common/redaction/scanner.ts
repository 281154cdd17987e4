import { Base64Cursor, LiteralCursor } from './cursor.ts';
import { blockLength, filteredLength, viewOf } from './gram-filter.ts';
import type { HiddenRuns } from './hidden-runs.ts';
import type { Matcher } from './matcher.ts';

const lineFeed = 10;
const carriageReturn = 13;

/**
 * A line break is taken for an encoder's only behind that many base64 characters: encoders break at 60 and
 * more. Were it less, the end of nearly each line of a log might be the beginning of a secret, and be held.
 */
const shortestEncodedLine = 32;

/** The bytes of an occurrence that the filter looks at, and the CR of a line break among them. */
const filterReach = filteredLength + 1;

/**
 * Finds the secrets in the chunks of one stream.
 *
 * Invariants:
 * - What is found depends on the bytes alone, never on how they were cut into chunks.
 * - The input is in one of two modes. Skipping, the filter looks for suspects, and the cursors are at rest.
 *   Following, the cursors take each byte. A suspect starts the following at the first place where an
 *   occurrence that the filter noticed can begin; it ends once all that began at or before the suspect are
 *   decided and what is under way since is short enough to be read again.
 * - Each chunk ends following, so that whatever is under way is known to the cursors.
 * - Each byte is read a bounded number of times, whatever the input and the patterns.
 */
export class Scanner {
  readonly #matcher: Matcher;
  readonly #literal: LiteralCursor;
  readonly #base64: Base64Cursor;
  /** The base64 characters that the input so far ends with, counted up to `shortestEncodedLine`. */
  #encodedBefore = 0;

  constructor(matcher: Matcher) {
    this.#matcher = matcher;
    this.#literal = new LiteralCursor(matcher.literal);
    this.#base64 = new Base64Cursor(matcher.base64);
  }

  /** Takes the next chunk, the first byte of which is at `position`, and adds what must not show to `hidden`. */
  scan(chunk: Uint8Array, position: number, hidden: HiddenRuns): void {
    let next = this.#follow({ chunk, position, hidden }, 0, 0);
    const view = viewOf(chunk);
    while (next < chunk.length) {
      const suspect = this.#nextSuspect(chunk, view, next);
      next = this.#follow({ chunk, position, hidden }, suspect.from, suspect.until);
    }
    this.#encodedBefore = this.#encodedLength(chunk, chunk.length);
  }

  /** Where the earliest occurrence under way begins; `position`, the end of the input so far, if none is. */
  earliest(position: number): number {
    return Math.min(this.#literal.earliest(position), this.#base64.earliest(position));
  }

  /**
   * Gives the cursors the bytes at `from` and behind until no occurrence that begins before `until` is under
   * way. The result is the place in the chunk from which on nothing is decided, or the chunk's end.
   */
  #follow(
    { chunk, position, hidden }: { chunk: Uint8Array; position: number; hidden: HiddenRuns },
    from: number,
    until: number,
  ): number {
    for (let index = from; index < chunk.length; index++) {
      const earliest = this.earliest(position + index) - position;
      if (earliest >= until && index - earliest <= filterReach) {
        this.#literal.reset();
        this.#base64.reset();
        return earliest;
      }
      this.#step(chunk, index, position + index, hidden);
    }
    return chunk.length;
  }

  #step(chunk: Uint8Array, index: number, place: number, hidden: HiddenRuns): void {
    const byte = chunk[index] ?? 0;
    const literal = this.#literal.step(byte, place);
    if (literal !== -1) hidden.add(literal, place + 1);
    if (byte === lineFeed || byte === carriageReturn) {
      this.#base64.breakLine(byte, this.#endsEncodedLine(chunk, index));
    } else {
      const base64 = this.#base64.step(byte, place);
      if (base64 !== -1) hidden.add(base64, place + 1);
    }
  }

  /**
   * What the cursors are to follow next: from where, and until which place is decided. A block with a suspect
   * gram may have a line break too: then what the filter cannot see because of the break is followed as well.
   */
  #nextSuspect(chunk: Uint8Array, view: DataView, from: number): { from: number; until: number } {
    const { filter } = this.#matcher;
    let place = filter.nextSuspect(view, from);
    for (; filter.isTestable(view, place); place = filter.nextSuspect(view, place + blockLength)) {
      if (filter.has(view.getInt32(place, true))) {
        return { from: Math.max(from, place - blockLength + 1 - filterReach), until: place + 1 };
      }
      let lineEnd = place;
      while (chunk[lineEnd] !== lineFeed) lineEnd++;
      if (this.#endsEncodedLine(chunk, lineEnd - (chunk[lineEnd - 1] === carriageReturn ? 1 : 0))) {
        return { from: Math.max(from, lineEnd - filterReach), until: lineEnd + 1 };
      }
    }
    return { from: Math.max(from, place - filterReach), until: chunk.length };
  }

  #endsEncodedLine(chunk: Uint8Array, index: number): boolean {
    return this.#encodedLength(chunk, index) >= shortestEncodedLine;
  }

  /** The number of base64 characters before `index`, counted up to `shortestEncodedLine`. */
  #encodedLength(chunk: Uint8Array, index: number): number {
    let first = index;
    while (first > 0 && index - first < shortestEncodedLine && isBase64(chunk[first - 1] ?? 0)) first--;
    return Math.min(shortestEncodedLine, index - first + (first === 0 ? this.#encodedBefore : 0));
  }
}

/** Whether the byte is a character of the standard or the URL-safe alphabet. */
function isBase64(byte: number): boolean {
  const letter = byte | 32;
  return (
    (letter >= 97 && letter <= 122) ||
    (byte >= 47 && byte <= 57) || // slash and digits
    byte === 43 ||
    byte === 45 ||
    byte === 95
  );
}
