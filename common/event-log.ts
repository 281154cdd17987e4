import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findRings, pieceName } from './find-rings.ts';
import { LogSegment, type SegmentRecord } from './log-segment.ts';
import { LogTail, type LogRecord } from './log-tail.ts';
import { MemoryPiece, OutputRing, type RingPiece } from './output-ring.ts';

/*
 * An append-only log of numbered records, with readers that follow it at their own pace. Some are output, of one
 * strand (a task) or another, of which so much is kept and no more: the first half of that in the log's file, among all
 * other records, the second half in a ring of files of the strand's own, in a folder beside it. Of output that is not
 * to be kept at all, the newest is in memory, for those who follow closely.
 *
 * INVARIANTS
 * - Records are numbered 1, 2, 3, … as they come. A reader gets growing numbers; where one is missing, it was output
 *   that is gone, and a marker of its strand says so no later than the strand's next output.
 * - When `append` or `appendOutput` has returned, a record that is kept is with the kernel: it survives a SIGKILL of
 *   this process. What is torn when the machine goes down is cut off when the log is opened.
 * - A number is given once, also to what was not kept before a restart: such numbers are reserved in the file first.
 * - Memory is bounded: the newest records are in a `LogTail`; a reader that fell behind further reads the files in blocks;
 *   nothing a reader does delays the writer. A small record that is a part of something large, as what was read from a
 *   socket is, does not keep all of that.
 * One writer per log. Only reading is asynchronous, so records and indexes never disagree.
 */

/** In memory, of output that is not kept: twice what may be on its way to a reader who sets the pace. */
export const fleetingBytes = 4 * 1024 * 1024;
const reservedAtOnce = 65_536;
/** The strand of what is no output. */
const noStrand = 0;
/** The strand of an empty record: its number and those after it, `reservedAtOnce` in all, may have been used. */
const reservation = 0xffff_ffff;

/** What becomes of a strand's output. */
export interface OutputPolicy {
  /** At most about this much is kept; 0: nothing. */
  readonly keptBytes: number;
  /** Makes a record with this number that tells a reader where the strand's output goes on, namely with the next. */
  readonly marker: (seq: number) => Uint8Array;
}

/** Where a reader stands. */
interface Place {
  readonly next: number;
  /** Up to this number it lacks what the files tell it, and memory does not. */
  readonly lacks: number;
}

/** What is known of a strand. */
interface Strand {
  /** Bytes of it in the log's file. */
  headBytes: number;
  lastSeq: number;
  ring: OutputRing<RingPiece> | undefined;
  isFleeting: boolean;
}

export class EventLog {
  readonly #path: string;
  readonly #main: LogSegment;
  readonly #strands = new Map<number, Strand>();
  #count = 0;
  #reserved = 0;
  /** The newest record's number that is in the file and no reservation. */
  #newest = 0;
  readonly #tail = new LogTail();
  #ended = false;
  #isClosing = false;
  /** The next record of each. */
  readonly #readers = new Set<{ next: number }>();
  #wake = Promise.withResolvers<void>();

  private constructor(path: string) {
    this.#path = path;
    this.#main = LogSegment.open(path, (header) => this.#find(header));
    try {
      this.#findRings();
    } catch (error) {
      this.close();
      throw error;
    }
    this.#count = Math.max(this.#count, this.#reserved);
  }

  /** Opens or makes the log (0600) and finds its records. Throws Node's system errors. */
  static open(path: string): EventLog {
    return new EventLog(path);
  }

  /** The newest record's number. */
  get count(): number {
    return this.#count;
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** Bytes of its files. */
  get size(): number {
    return [...this.#strands.values()].reduce(
      (sum, { ring, isFleeting }) => sum + (isFleeting ? 0 : (ring?.size ?? 0)),
      this.#main.size,
    );
  }

  /** Returns the new record's number. Throws Node's system errors (ENOSPC), having written nothing. */
  append(bytes: Uint8Array): number {
    const seq = this.#count + 1;
    this.#main.append({ seq, strand: noStrand, bytes });
    this.#newest = seq;
    return this.#note({ seq, bytes: apart(bytes), isFleeting: false });
  }

  /** The same for output of a strand, a number from 1, which may be dropped later. */
  appendOutput(strand: number, bytes: Uint8Array, policy: OutputPolicy): number {
    const record = { seq: this.#count + 1, strand, bytes: apart(bytes) };
    const known = this.#strandOf(strand);
    if (policy.keptBytes === 0) this.#appendFleeting(known, record, policy);
    else this.#appendKept(known, record, policy);
    known.lastSeq = record.seq;
    return this.#note({ seq: record.seq, bytes: record.bytes, isFleeting: policy.keptBytes === 0 });
  }

  /** Says that no record will follow: readers end after the last one. */
  end(): void {
    this.#ended = true;
    this.#wakeReaders();
  }

  /** Ends the log and gives its files back as soon as no reader needs them. */
  close(): void {
    this.#isClosing = true;
    this.end();
    this.#closeFilesIfUnused();
  }

  /** The newest record that is no output in a ring; undefined if there is none. */
  async newest(): Promise<LogRecord | undefined> {
    if (this.#newest === 0) return undefined;
    const [record] = (await this.#main.read(this.#newest)).records;
    return record === undefined ? undefined : { seq: record.seq, bytes: record.bytes, isFleeting: false };
  }

  /**
   * The records after `afterSeq`, then new ones as they come, until `end`; each time all that are at hand, at
   * most about 1 MiB. Rejects with the signal's reason when it fires.
   */
  async *read(afterSeq: number, signal: AbortSignal): AsyncGenerator<readonly LogRecord[]> {
    const reader = { next: afterSeq + 1 };
    this.#readers.add(reader);
    // Not in a race with a promise of the signal's: that would keep something of each wait until the signal fires.
    const onAbort = (): void => this.#wakeReaders();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      let place: Place = { next: afterSeq + 1, lacks: 0 };
      while (place.next <= this.#count || !this.#ended) {
        signal.throwIfAborted();
        if (place.next > this.#count) {
          await this.#wake.promise;
          continue;
        }
        const { records, after } = await this.#take(place);
        place = after;
        reader.next = place.next;
        if (records.length > 0) yield records;
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#readers.delete(reader);
      this.#closeFilesIfUnused();
    }
  }

  /** The records that are there now, in order. */
  async *snapshot(): AsyncGenerator<readonly LogRecord[]> {
    const last = this.#count;
    let place: Place = { next: 1, lacks: 0 };
    while (place.next <= last) {
      const { records, after } = await this.#take(place);
      if (records.length > 0) yield records;
      place = after;
    }
  }

  /** All that is at hand from a place on, and where a reader stands after it. */
  async #take({ next, lacks }: Place): Promise<{ records: readonly LogRecord[]; after: Place }> {
    const first = this.#tail.firstSeq;
    if (first !== undefined && next >= first && next > lacks) {
      const records = this.#tail.from(next);
      return { records, after: { next: next + records.length, lacks: 0 } };
    }
    const last = this.#count;
    const sources = [{ source: this.#main, isFleeting: false }, ...this.#rings()];
    const lacking = sources.filter(({ source }) => source.lastSeq >= next);
    const gaps = Array.from(this.#rings(), ({ source }) => source.gapBefore(next));
    const parts = await Promise.all(
      lacking.map(async ({ source, isFleeting }) => ({ ...(await source.read(next)), isFleeting })),
    );
    const ends = parts.map(({ isEnd, records }) => (isEnd ? last : (records.at(-1)?.seq ?? last)));
    const horizon = Math.min(last, ...ends);
    const records = parts.flatMap(({ records: some, isFleeting }) => {
      const shown = some.filter(({ seq, strand }) => seq <= horizon && strand !== reservation);
      return shown.map(({ seq, bytes }) => ({ seq, bytes, isFleeting }));
    });
    return {
      records: records.toSorted((a, b) => a.seq - b.seq),
      after: { next: horizon + 1, lacks: Math.max(0, ...gaps) },
    };
  }

  *#rings(): Generator<{ source: OutputRing<RingPiece>; isFleeting: boolean }> {
    for (const { ring, isFleeting } of this.#strands.values())
      if (ring !== undefined) yield { source: ring, isFleeting };
  }

  #appendKept(known: Strand, record: SegmentRecord, { keptBytes, marker }: OutputPolicy): void {
    if (known.ring === undefined && known.headBytes + record.bytes.length <= keptBytes / 2) {
      this.#main.append(record);
      this.#newest = record.seq;
      known.headBytes += record.bytes.length;
      return;
    }
    known.ring ??= new OutputRing((place) => this.#makePiece(record.strand, place));
    known.ring.append(record, keptBytes / 16, () => markerOf(known, record, marker));
  }

  #appendFleeting(known: Strand, record: SegmentRecord, { marker }: OutputPolicy): void {
    if (record.seq > this.#reserved) {
      this.#main.append({ seq: record.seq, strand: reservation, bytes: new Uint8Array() });
      this.#reserved = record.seq + reservedAtOnce - 1;
    }
    known.isFleeting = true;
    known.ring ??= new OutputRing(() => new MemoryPiece());
    known.ring.append(record, fleetingBytes / 8, () => markerOf(known, record, marker));
  }

  #note(record: LogRecord): number {
    this.#count = record.seq;
    this.#tail.push(record, this.#readers);
    this.#wakeReaders();
    return record.seq;
  }

  #wakeReaders(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  #closeFilesIfUnused(): void {
    if (!this.#isClosing || this.#readers.size > 0) return;
    this.#main.close();
    for (const { ring } of this.#strands.values()) ring?.close();
  }

  #strandOf(strand: number): Strand {
    const known = this.#strands.get(strand) ?? {
      headBytes: 0,
      lastSeq: 0,
      ring: undefined,
      isFleeting: false,
    };
    this.#strands.set(strand, known);
    return known;
  }

  /** A record that was in the file already. */
  #find({ seq, strand, length }: { seq: number; strand: number; length: number }): void {
    if (strand === reservation) {
      this.#reserved = seq + reservedAtOnce - 1;
      return;
    }
    this.#count = this.#newest = seq;
    if (strand === noStrand) return;
    const known = this.#strandOf(strand);
    known.headBytes += length;
    known.lastSeq = seq;
  }

  #findRings(): void {
    const found = findRings(this.#ringsFolder, (strand, place) => this.#makePiece(strand, place));
    for (const [strand, ring] of found) {
      const known = this.#strandOf(strand);
      known.ring = ring;
      known.lastSeq = ring.lastSeq;
      this.#count = Math.max(this.#count, ring.lastSeq);
    }
  }

  get #ringsFolder(): string {
    return `${this.#path}.rings`;
  }

  #makePiece(strand: number, place: number): LogSegment {
    mkdirSync(this.#ringsFolder, { recursive: true, mode: 0o700 });
    return LogSegment.open(join(this.#ringsFolder, pieceName(strand, place)));
  }
}

/** Of what keeps more than eight times its bytes, a copy. */
function apart(bytes: Uint8Array): Uint8Array {
  return bytes.length * 8 < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes;
}

function markerOf(
  { lastSeq: seq }: Strand,
  { strand }: SegmentRecord,
  marker: OutputPolicy['marker'],
): SegmentRecord {
  return { seq, strand, bytes: marker(seq) };
}
