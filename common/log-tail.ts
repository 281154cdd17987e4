const tailBytes = 256 * 1024;
/** What may be under way to a reader who sets the pace: that is not to be read from the disk. */
const laggingBytes = 4 * 1024 * 1024;
/** What a reader gets at once, about. */
const takenAtOnceBytes = 1024 * 1024;
/** What a record takes beside its bytes. */
const recordBytes = 64;

/** A record of a log. */
export interface LogRecord {
  readonly seq: number;
  readonly bytes: Uint8Array;
  /** It is output that will be gone with this process, or sooner. */
  readonly isFleeting: boolean;
}

/** Memory of a log's newest records: at most `tailBytes`, and `laggingBytes` of what a reader has not taken. */
export class LogTail {
  #records: LogRecord[] = [];
  #size = 0;
  #limit = tailBytes;

  /** The number of the oldest record here; undefined if there is none. */
  get firstSeq(): number | undefined {
    return this.#records[0]?.seq;
  }

  /** The log's next record; `readers`: which record each takes next. */
  push(record: LogRecord, readers: Iterable<{ readonly next: number }>): void {
    this.#records.push(record);
    this.#size += record.bytes.length + recordBytes;
    if (this.#size > this.#limit) this.#shorten(Math.min(...Array.from(readers, ({ next }) => next)));
  }

  /** The records from a number on that is here or will be next, at most about 1 MiB. */
  from(seq: number): readonly LogRecord[] {
    const place = seq - (this.firstSeq ?? seq);
    let end = place;
    for (let size = 0; size < takenAtOnceBytes && end < this.#records.length; end++)
      size += this.#records[end]?.bytes.length ?? 0;
    return this.#records.slice(place, end);
  }

  /** Now, and again when half as much as it usually holds has come. */
  #shorten(lacked: number): void {
    let dropped = 0;
    for (const { seq, bytes } of this.#records) {
      const most = seq < lacked ? tailBytes / 2 : laggingBytes - tailBytes / 2;
      if (this.#size <= most) break;
      this.#size -= bytes.length + recordBytes;
      dropped++;
    }
    this.#records = this.#records.slice(dropped);
    this.#limit = Math.max(tailBytes, this.#size + tailBytes / 2);
  }
}
