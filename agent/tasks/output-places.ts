import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { readOptional } from '../process/keeper-folder.ts';
import type { StreamPlace } from '../process/kept-output.ts';
import type { OutputStream } from '../../common/task-event.ts';
import { outputStart, type OutputMark } from './output-marks.ts';

/** Where to go on with a stream: with what is told of it, and in which of its pieces. */
export type OutputPlace = OutputMark & Pick<StreamPlace, 'piece' | 'pieceStart'>;
export type OutputPlacesNow = Readonly<Record<OutputStream, OutputPlace>>;

/** None of it is told. */
export const placesAtStart: OutputPlacesNow = {
  stdout: { ...outputStart.stdout, piece: 0, pieceStart: 0 },
  stderr: { ...outputStart.stderr, piece: 0, pieceStart: 0 },
};

interface Entry {
  /** The number of the event with which this holds. */
  readonly seq: number;
  readonly places: OutputPlacesNow;
  /** Some of what is behind was not told, and the log does not say so: it had no room. */
  readonly isTorn: boolean;
}

const slotBytes = 1024;
const { O_CREAT, O_RDWR } = constants;

/*
 * How far a kept step's output has been told, in a file of its folder, for the process after this one.
 *
 * INVARIANTS
 * - What holds with an event is written before the event is, into one of two slots in turn: whichever write a kill cuts
 *   off, the slot of the newest event that is in the log is whole.
 * - Where the log has no room for an event, its number is noted again, for the next one. What came between holds with the
 *   event before from then on, as if it had been told: the slots are as good as the log without room.
 * - A slot whose event never came is overwritten (`settle`) before the next process gives its number to another event.
 * - Once it was open, no write needs room.
 */
export class OutputPlaces {
  readonly #fd: number;
  #turn = 0;
  /** As an earlier process left it. */
  readonly #wasTorn: boolean;
  #noted: Entry | undefined;

  private constructor(fd: number, wasTorn: boolean) {
    this.#fd = fd;
    this.#wasTorn = wasTorn;
  }

  /** `newest`: what `read` gave, of an earlier process. */
  static open(folder: string, newest: Entry | undefined): OutputPlaces {
    const fd = openSync(pathIn(folder), O_RDWR | O_CREAT, 0o600);
    const places = new OutputPlaces(fd, newest?.isTorn === true);
    try {
      for (const _ of [1, 2]) places.#write(newest);
      return places;
    } catch (error) {
      places.close();
      throw error;
    }
  }

  /** Before a process logs anything of a task that it takes over, with `count` events in its log. */
  static settle(folder: string, count: number): void {
    const hasUntold = entriesIn(folder).some(({ seq }) => seq > count);
    if (hasUntold) OutputPlaces.open(folder, OutputPlaces.read(folder, count)).close();
  }

  /** What holds with the newest event, of number `count`; undefined if none of the step's output is told. */
  static read(folder: string, count: number): Entry | undefined {
    return entriesIn(folder)
      .filter(({ seq }) => seq <= count)
      .toSorted((a, b) => b.seq - a.seq)[0];
  }

  /** `seq`: of the event with which it will hold. */
  note(seq: number, places: OutputPlacesNow): void {
    const before = this.#noted;
    if (before?.seq === seq) this.#write({ ...before, seq: seq - 1, isTorn: true });
    this.#noted = { seq, places, isTorn: this.#wasTorn };
    this.#write(this.#noted);
  }

  /** Of the event that was noted last; 0 if none was. */
  get lastSeq(): number {
    return this.#noted?.seq ?? 0;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Within one page, which a kill does not tear. */
  #write(entry: Entry | undefined): void {
    const slot = Buffer.alloc(slotBytes, ' ');
    if (entry !== undefined) slot.write(JSON.stringify(entry));
    writeSync(this.#fd, slot, 0, slotBytes, this.#turn * slotBytes);
    this.#turn = 1 - this.#turn;
  }
}

const pathIn = (folder: string): string => join(folder, 'places');

function entriesIn(folder: string): Entry[] {
  const text = readOptional(pathIn(folder));
  return [text.slice(0, slotBytes), text.slice(slotBytes)].flatMap(parse);
}

/** None, of a slot that was not written in full. */
function parse(slot: string): Entry[] {
  try {
    return slot.trim() === '' ? [] : [JSON.parse(slot) as Entry];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}
