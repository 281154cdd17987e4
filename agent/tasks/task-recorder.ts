import { createHash, type Hash } from 'node:crypto';
import type { Masker, MaskStream } from '../../common/redaction/masker.ts';
import type { OutputStream, StepKind, TaskEvent } from '../../common/task-event.ts';
import { outputStart, type OutputMark, type OutputMarks } from './output-marks.ts';

/** Takes a task's next event. Returns a promise while the reader is too far behind. */
export type EventSink = (event: TaskEvent) => void | Promise<void>;

const maxChunkBytes = 64 * 1024;
const gatherMs = 4;
/** How long a terminal waits for what might be the beginning of a secret. */
const releaseMs = 100;

/** For a recorder to go on where one of an earlier process was. */
export interface RecordedBefore {
  readonly marks: OutputMarks;
  /** Of all that was told; undefined if that is not known any more. */
  readonly digest: Hash | undefined;
}

/**
 * Turns what a step writes into `output` events: masked, gathered for some milliseconds, cut at 64 KiB, and
 * digested. One per step; `finish` comes before the step's end is told.
 *
 * INVARIANT: `onMarks` hears, just before each event, how far the raw output has been told once that event is.
 */
export class OutputRecorder {
  readonly #step: StepKind;
  readonly #sink: EventSink;
  readonly #digest: Hash | undefined;
  readonly #masks: Record<OutputStream, MaskStream>;
  /** Raw bytes that masking was given, counted from the stream's start. */
  readonly #pushed: Record<OutputStream, number>;
  /** Bytes that were told before and come again. */
  readonly #again: Record<OutputStream, number>;
  #marks: OutputMarks;
  readonly #onMarks: (marks: OutputMarks) => void;
  #waiting: { stream: OutputStream; chunks: Uint8Array[]; size: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isForTerminal = false;
  #isAsked = false;
  #release: NodeJS.Timeout | undefined;
  /** The reader is too far behind. */
  #held: Promise<void> | undefined;

  constructor(
    step: StepKind,
    masker: Masker,
    sink: EventSink,
    onMarks: (marks: OutputMarks) => void = () => undefined,
    before: RecordedBefore = { marks: outputStart, digest: createHash('sha256') },
  ) {
    this.#step = step;
    this.#sink = sink;
    this.#onMarks = onMarks;
    this.#digest = before.digest;
    this.#marks = before.marks;
    const { stdout, stderr } = before.marks;
    this.#masks = { stdout: masker.resume(stdout.mask), stderr: masker.resume(stderr.mask) };
    this.#pushed = { stdout: stdout.from, stderr: stderr.from };
    this.#again = { stdout: stdout.skip, stderr: stderr.skip };
  }

  /**
   * Somebody types and looks on: what comes after a pause goes out at once, only what follows it closely is gathered,
   * and masking holds nothing back for longer than 100 ms.
   */
  showAtOnce(): void {
    this.#isForTerminal = true;
  }

  /** What runs was just given some of its stdin: what it says next goes out at once. */
  expectAnswer(): void {
    this.#isAsked = true;
  }

  /** Pauses its caller while the promise is pending. */
  write(stream: OutputStream, chunk: Uint8Array): void | Promise<void> {
    this.#pushed[stream] += chunk.length;
    const shown = this.#withoutTold(stream, this.#masks[stream].push(chunk));
    if (this.#isForTerminal) this.#releaseSoon(stream, chunk.length);
    return this.#gather(stream, shown);
  }

  /** Goes out as it is: what holds no secret, but might look like one. */
  writeUnmasked(stream: OutputStream, chunk: Uint8Array): void | Promise<void> {
    return this.#gather(stream, chunk);
  }

  /** Gives out what masking held back; returns the SHA-256 of all that was sent, empty if that is not known. */
  async finish(): Promise<string> {
    clearTimeout(this.#release);
    for (const stream of ['stdout', 'stderr'] as const) {
      await this.#gather(stream, this.#withoutTold(stream, this.#masks[stream].flush()));
    }
    this.#flush();
    await this.#held;
    return this.#digest?.digest('hex') ?? '';
  }

  #withoutTold(stream: OutputStream, shown: Uint8Array): Uint8Array {
    const told = Math.min(this.#again[stream], shown.length);
    this.#again[stream] -= told;
    return told === 0 ? shown : shown.subarray(told);
  }

  #gather(stream: OutputStream, data: Uint8Array): void | Promise<void> {
    if (data.length === 0) return undefined;
    if (this.#waiting?.stream !== stream) this.#flush();
    this.#waiting ??= { stream, chunks: [], size: 0 };
    this.#waiting.chunks.push(data);
    this.#waiting.size += data.length;
    if (this.#waiting.size >= maxChunkBytes) this.#flush();
    else if (this.#isForTerminal && (this.#isAsked || this.#timer === undefined)) this.#flushAndGather();
    else if (this.#isAsked) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), gatherMs);
    return this.#held;
  }

  /** What comes within the next milliseconds waits for their end, and so on. */
  #flushAndGather(): void {
    if (this.#waiting === undefined) return;
    this.#flush();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#flushAndGather();
    }, gatherMs);
  }

  /** The oldest byte that is held came just now, or was waited for already. */
  #releaseSoon(stream: OutputStream, chunkLength: number): void {
    const { held } = this.#masks[stream];
    if (held <= chunkLength) {
      clearTimeout(this.#release);
      this.#release = undefined;
    }
    if (held === 0) return;
    this.#release ??= setTimeout(() => {
      this.#release = undefined;
      void this.#gather(stream, this.#masks[stream].release());
    }, releaseMs);
  }

  #flush(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isAsked = false;
    this.#waiting = undefined;
    const all = waiting.chunks.length === 1 ? waiting.chunks[0] : Buffer.concat(waiting.chunks);
    if (all !== undefined) this.#emit(waiting.stream, all);
  }

  #emit(stream: OutputStream, all: Uint8Array): void {
    this.#digest?.update(all);
    const { [stream]: before } = this.#marks;
    for (let at = 0; at < all.length; at += maxChunkBytes) {
      const data = all.subarray(at, at + maxChunkBytes);
      const end = at + data.length;
      const mark = end < all.length ? { ...before, skip: before.skip + end } : this.#markOf(stream);
      this.#marks = { ...this.#marks, [stream]: mark };
      this.#onMarks(this.#marks);
      this.#hold(this.#sink({ type: 'output', step: this.#step, stream, data }));
    }
  }

  /** All that masking gave out has been told. */
  #markOf(stream: OutputStream): OutputMark {
    const mask = this.#masks[stream].bookmark;
    return { from: this.#pushed[stream] - mask.back, mask, skip: 0 };
  }

  #hold(taken: void | Promise<void>): void {
    if (taken === undefined) return;
    const release = (): void => {
      if (this.#held === held) this.#held = undefined;
    };
    const held = taken.then(release, release);
    this.#held = held;
  }
}
