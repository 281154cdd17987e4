import type { SegmentRead, SegmentRecord } from './log-segment.ts';

/** What a ring's pieces are: files, or memory. */
export interface RingPiece {
  readonly size: number;
  readonly lastSeq: number;
  /** Its first record: the marker that stands in for what came before. */
  readonly firstSeq: number | undefined;
  append(record: SegmentRecord): void;
  read(from: number): Promise<SegmentRead>;
  close(): void;
  remove(): void;
}

/** How many pieces a full ring has. */
const pieceCount = 8;

/*
 * The newest records of one strand, in pieces; the oldest piece goes when a new one is needed and the ring is full.
 *
 * INVARIANTS
 * - A piece begins with a marker: a record that bears the number of the last one before the piece. Readers see it only
 *   if they lack that one and it is gone: then it says so.
 * - A ring holds no more than `pieceCount` pieces, each full one just over `pieceBytes`.
 */
export class OutputRing<Piece extends RingPiece> {
  readonly #make: (place: number) => Piece;
  #pieces: Piece[];
  /** How many pieces went before the oldest. */
  #dropped: number;

  /** `pieces` are what is left of an earlier process's, oldest first, after `dropped` others. */
  constructor(make: (place: number) => Piece, pieces: readonly Piece[] = [], dropped = 0) {
    this.#make = make;
    this.#pieces = [...pieces];
    this.#dropped = dropped;
  }

  get lastSeq(): number {
    return this.#pieces.at(-1)?.lastSeq ?? 0;
  }

  get size(): number {
    return this.#pieces.reduce((sum, { size }) => sum + size, 0);
  }

  /** `marker` makes the record for the beginning of a piece. */
  append(record: SegmentRecord, pieceBytes: number, marker: () => SegmentRecord): void {
    let piece = this.#pieces.at(-1);
    if (piece === undefined || piece.size >= pieceBytes) {
      piece = this.#make(this.#dropped + this.#pieces.length);
      piece.append(marker());
      this.#pieces.push(piece);
      this.#dropOldest();
    }
    piece.append(record);
  }

  /** The number of the marker that a reader is to see who goes on at `from`; 0 where none is. */
  gapBefore(from: number): number {
    const marker = this.#pieces[0]?.firstSeq ?? 0;
    return this.#dropped > 0 && from <= marker ? marker : 0;
  }

  /** Some records from number `from` on, with the marker where some before them are gone. */
  async read(from: number): Promise<SegmentRead> {
    const hasGap = this.gapBefore(from) > 0;
    const piece = hasGap ? this.#pieces[0] : this.#pieces.find(({ lastSeq }) => lastSeq >= from);
    if (piece === undefined) return { records: [], isEnd: true };
    const first = hasGap ? from : Math.max(from, (piece.firstSeq ?? 0) + 1);
    const { records, isEnd } = await piece.read(first);
    return { records, isEnd: isEnd && piece === this.#pieces.at(-1) };
  }

  close(): void {
    for (const piece of this.#pieces) piece.close();
  }

  #dropOldest(): void {
    while (this.#pieces.length > pieceCount) {
      this.#pieces.shift()?.remove();
      this.#dropped++;
    }
  }
}

/** A piece that is on no disk. */
export class MemoryPiece implements RingPiece {
  readonly #records: SegmentRecord[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get firstSeq(): number | undefined {
    return this.#records[0]?.seq;
  }

  get lastSeq(): number {
    return this.#records.at(-1)?.seq ?? 0;
  }

  append(record: SegmentRecord): void {
    this.#records.push(record);
    this.#size += record.bytes.length + 64;
  }

  async read(from: number): Promise<SegmentRead> {
    return { records: this.#records.filter(({ seq }) => seq >= from), isEnd: true };
  }

  close(): void {}

  remove(): void {}
}
