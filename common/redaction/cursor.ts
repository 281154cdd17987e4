import type { Automaton } from './automaton.ts';

const carriageReturn = 13;

/** Follows the occurrences under way, one byte after the other. Places are counted from the stream's start. */
export class LiteralCursor {
  readonly #patterns: Automaton;
  #state = 0;

  constructor(patterns: Automaton) {
    this.#patterns = patterns;
  }

  /** Takes the byte at `place`; gives where the longest occurrence that ends with it begins, or -1. */
  step(byte: number, place: number): number {
    this.#state = this.#patterns.next(this.#state, byte);
    const length = this.#patterns.match(this.#state);
    return length === 0 ? -1 : place + 1 - length;
  }

  /** Where the earliest occurrence under way begins; `next`, the place of the next byte, if there is none. */
  earliest(next: number): number {
    return next - this.#patterns.depth(this.#state);
  }

  reset(): void {
    this.#state = 0;
  }
}

/**
 * The same for base64 text, whose encoder may have put line breaks (LF or CR LF) anywhere: they are left out,
 * so that an occurrence may be longer than its pattern. Two breaks in a row, or a CR alone, end it.
 */
export class Base64Cursor {
  readonly #patterns: Automaton;
  /** The places of the latest bytes that were not left out; a ring. */
  readonly #places: Float64Array;
  #count = 0;
  #state = 0;
  #lineBreak: 'none' | 'begun' | 'complete' = 'none';

  constructor(patterns: Automaton) {
    this.#patterns = patterns;
    this.#places = new Float64Array(2 ** Math.ceil(Math.log2(patterns.longestPattern + 1)));
  }

  step(byte: number, place: number): number {
    if (this.#lineBreak === 'begun') this.#state = 0;
    this.#lineBreak = 'none';
    this.#state = this.#patterns.next(this.#state, byte);
    this.#places[this.#count++ & (this.#places.length - 1)] = place;
    const length = this.#patterns.match(this.#state);
    return length === 0 ? -1 : this.#placeBack(length);
  }

  /** Takes a CR or LF; `isEncoders` tells whether the line that it ends looks like one that an encoder cut. */
  breakLine(byte: number, isEncoders: boolean): void {
    const isNext = this.#lineBreak === 'none' ? isEncoders : this.#lineBreak === 'begun';
    if (!isNext || (byte === carriageReturn && this.#lineBreak === 'begun')) this.reset();
    else this.#lineBreak = byte === carriageReturn ? 'begun' : 'complete';
  }

  earliest(next: number): number {
    const depth = this.#patterns.depth(this.#state);
    return depth === 0 ? next : this.#placeBack(depth);
  }

  reset(): void {
    this.#state = 0;
    this.#lineBreak = 'none';
  }

  #placeBack(count: number): number {
    return this.#places[(this.#count - count) & (this.#places.length - 1)] ?? 0;
  }
}
