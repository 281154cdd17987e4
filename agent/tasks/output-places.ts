import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../../common/errors.ts';
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
}

const slotBytes = 1024;

/*
 * How far a kept step's output has been told, in a file of its folder, for the process after this one.
 *
 * INVARIANTS
 * - What holds with an event is written before the event is, into one of two slots in turn: whichever write a kill cuts
 *   off, the slot of the newest event that is in the log is whole.
 * - A slot whose event never came is overwritten before the next event can take its number.
 * - Once it is open, no write needs room.
 */
export class OutputPlaces {
  readonly #fd: number;
  #turn = 0;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** `newest`: what `read` gave, of an earlier process. */
  static open(folder: string, newest: Entry | undefined): OutputPlaces {
    const places = new OutputPlaces(openSync(pathIn(folder), newest === undefined ? 'w' : 'r+', 0o600));
    try {
      if (newest === undefined) writeFileSync(places.#fd, Buffer.alloc(2 * slotBytes, ' '));
      else for (const _ of [1, 2]) places.#write(newest);
      return places;
    } catch (error) {
      places.close();
      throw error;
    }
  }

  /** What holds with the newest event, of number `count`; undefined if none of the step's output is told. */
  static read(folder: string, count: number): Entry | undefined {
    const bytes = readIfThere(pathIn(folder));
    const slots = [bytes.subarray(0, slotBytes), bytes.subarray(slotBytes)];
    return slots
      .map(parse)
      .filter((entry) => entry !== undefined && entry.seq <= count)
      .toSorted((a, b) => (b?.seq ?? 0) - (a?.seq ?? 0))[0];
  }

  note(seq: number, places: OutputPlacesNow): void {
    this.#write({ seq, places });
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Within one page, which a kill does not tear. */
  #write(entry: Entry): void {
    const slot = Buffer.alloc(slotBytes, ' ');
    slot.write(JSON.stringify(entry));
    writeSync(this.#fd, slot, 0, slotBytes, this.#turn * slotBytes);
    this.#turn = 1 - this.#turn;
  }
}

const pathIn = (folder: string): string => join(folder, 'places');

function parse(slot: Uint8Array): Entry | undefined {
  const text = Buffer.from(slot).toString().trim();
  try {
    return text === '' ? undefined : (JSON.parse(text) as Entry);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return Buffer.alloc(0);
    throw error;
  }
}
