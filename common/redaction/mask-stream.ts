import { Backlog } from './backlog.ts';
import { HiddenRuns } from './hidden-runs.ts';
import type { Matcher } from './matcher.ts';
import { Scanner } from './scanner.ts';
import { mark } from './secret-patterns.ts';

const markBytes = Buffer.from(mark);
const nothing = new Uint8Array();
/** So many bytes before a place may decide what is found behind it (`scanner.ts`: how a line break is taken). */
const contextBytes = 64;

/** Where a stream stands, for another one to go on from there; all counts are of bytes that were pushed. */
export interface MaskBookmark {
  /** The other is given these last ones again, and all that follow. */
  readonly back: number;
  /** So many of the last were not given out. */
  readonly held: number;
  readonly endsWithMark: boolean;
}

/**
 * Masks one stream of output. Occurrences that overlap or touch become one mark.
 *
 * Invariants, with all places counted from the stream's start:
 * - shown <= position. What is before `shown` has been given out, as it was or as a mark; the rest is held.
 * - A byte is given out as it was only once it is decided: it is in no occurrence found, and none that began
 *   at or before it is under way. Only `release` and `flush` give out the undecided.
 * - The backlog holds whatever is not shown and whatever belongs to an occurrence under way, so that after
 *   `release` the rest of a secret is still hidden, and new secrets can be looked for in what is held.
 *
 * The bytes given out may be the caller's own or share memory with later ones: write to neither.
 */
export class MaskStream {
  readonly #currentMatcher: () => Matcher | undefined;
  readonly #backlog = new Backlog();
  readonly #hidden = new HiddenRuns();
  #matcher: Matcher | undefined;
  #scanner: Scanner | undefined;
  #position = 0;
  #shown = 0;
  #endsWithMark = false;

  /** `currentMatcher` is asked at each call, and gives the same object until there are new secrets. */
  constructor(currentMatcher: () => Matcher | undefined) {
    this.#currentMatcher = currentMatcher;
  }

  /** A stream that goes on where another one stood; the same secrets are to be hidden. */
  static resume(
    currentMatcher: () => Matcher | undefined,
    { back, held, endsWithMark }: MaskBookmark,
  ): MaskStream {
    const stream = new MaskStream(currentMatcher);
    stream.#shown = back - held;
    stream.#endsWithMark = endsWithMark;
    return stream;
  }

  get bookmark(): MaskBookmark {
    const underWay = this.#scanner?.earliest(this.#position) ?? this.#position;
    const needed = this.#position - Math.min(this.#shown, underWay);
    const back = this.#scanner === undefined ? 0 : Math.min(this.#position, needed + contextBytes);
    return { back, held: this.held, endsWithMark: this.#endsWithMark };
  }

  /** The number of bytes that were pushed and not yet given out. */
  get held(): number {
    return this.#position - this.#shown;
  }

  /** Takes a chunk and gives out what is decided: the chunk itself, uncopied, if that is all of it. */
  push(chunk: Uint8Array): Uint8Array {
    this.#adoptNewSecrets();
    if (this.#scanner === undefined) return chunk;
    this.#scanner.scan(chunk, this.#position, this.#hidden);
    this.#position += chunk.length;
    return this.#giveOut(this.#backlog.append(chunk), this.#scanner.earliest(this.#position));
  }

  /**
   * Gives out what is held, for a terminal on which it has been so for 100 ms. If it was the beginning of a
   * secret after all, the rest of that secret will still be masked.
   */
  release(): Uint8Array {
    this.#adoptNewSecrets();
    return this.#giveOut(this.#backlog.append(nothing), this.#position);
  }

  /** Gives out all that is held, at the end of a step. The stream may be used again, as a new one. */
  flush(): Uint8Array {
    const rest = this.release();
    this.#backlog.keep(nothing);
    this.#scanner = undefined;
    this.#matcher = undefined;
    this.#endsWithMark = false;
    return rest;
  }

  #adoptNewSecrets(): void {
    const matcher = this.#currentMatcher();
    if (matcher === this.#matcher || matcher === undefined) return;
    const backlog = this.#backlog.append(nothing);
    this.#matcher = matcher;
    this.#scanner = new Scanner(matcher);
    this.#scanner.scan(backlog, this.#position - backlog.length, this.#hidden);
  }

  /** `bytes` are those before `position`; from `undecided` on they are held. */
  #giveOut(bytes: Uint8Array, undecided: number): Uint8Array {
    const first = this.#position - bytes.length;
    const pieces: Uint8Array[] = [];
    const showUpTo = (end: number): void => {
      if (end <= this.#shown) return;
      pieces.push(bytes.subarray(this.#shown - first, end - first));
      this.#shown = end;
      this.#endsWithMark = false;
    };
    for (const run of this.#hidden.take(undecided)) {
      if (run.end <= this.#shown) continue;
      showUpTo(run.start);
      if (!this.#endsWithMark) pieces.push(markBytes);
      this.#shown = Math.max(this.#shown, run.end);
      this.#endsWithMark = true;
    }
    showUpTo(undecided);
    this.#keep(bytes);
    const [only = nothing] = pieces;
    return pieces.length < 2 ? only : Buffer.concat(pieces);
  }

  #keep(bytes: Uint8Array): void {
    const underWay = this.#scanner?.earliest(this.#position) ?? this.#position;
    const kept = this.#position - Math.min(this.#shown, underWay);
    this.#backlog.keep(bytes.subarray(bytes.length - kept));
  }
}
