import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KomposeError } from '../../common/errors.ts';
import type { OutputStream } from '../../common/task-event.ts';
import type { ActionEnd } from '../database/action.ts';
import type { KeeperTools } from '../process/keeper.ts';
import { keeperOf, readOptional } from '../process/keeper-folder.ts';
import { adoptKept, startKept, type KeptProcess, type KeptSpec } from '../process/kept-process.ts';
import type { OutputMarks } from './output-marks.ts';
import { OutputPlaces, placesAtStart, type OutputPlace, type OutputPlacesNow } from './output-places.ts';
import type { RecordedBefore } from './task-recorder.ts';
import type { ToldStep } from './told-events.ts';

/** How a step ended, all of its output told. */
export interface StepEnd {
  readonly end: ActionEnd;
  readonly env: Readonly<Record<string, string>>;
  /** Empty if it is not known. */
  readonly outputSha256: string;
  /** Some of its output is not told, and the log does not say so: it has no room. */
  readonly isTorn?: boolean;
}

/** Nobody knows how a step ended, or what it has done. */
export class StepLost extends KomposeError {
  constructor(message: string) {
    super('failed', message);
  }
}

const endFile = 'end.json';

/**
 * How the step of a folder ended, by what an earlier process noted, also of one that began no process; undefined where it
 * has not ended or its output is not told.
 */
export function notedEnd(folder: string): StepEnd | undefined {
  try {
    return JSON.parse(readOptional(join(folder, endFile))) as StepEnd;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export interface StepPlace {
  readonly tools: KeeperTools;
  /** The step's own (0700). */
  readonly folder: string;
  /** What an earlier process told of it. */
  readonly told: ToldStep | undefined;
  /** Of the newest event in the task's log. */
  readonly count: () => number;
}

/*
 * A step that may outlive this process, with what the next one needs to go on with it in a folder of its own, in memory
 * where the host has a tmpfs: raw output that is not told yet, what a hook exports, its hooks.sh, and how it ended.
 *
 * INVARIANT: a piece of raw output is removed only when the place that the next process would go on from is in a later one.
 * (A place at a piece's very end is in that piece until the next one is read.)
 */
export class KeptStep {
  /** An earlier process began it. */
  readonly isAdopted: boolean;
  readonly told: ToldStep | undefined;
  readonly recordedBefore: RecordedBefore;
  readonly #place: StepPlace;
  readonly #places: OutputPlaces;
  #process: KeptProcess | undefined;
  /** What the next process will go on from at least. */
  #noted: OutputPlacesNow;
  readonly #wasTorn: boolean;

  constructor(place: StepPlace, isAdopted: boolean) {
    this.#place = place;
    this.isAdopted = isAdopted;
    this.told = place.told;
    const newest = isAdopted ? OutputPlaces.read(place.folder, place.count()) : undefined;
    this.#places = OutputPlaces.open(place.folder, newest);
    this.#noted = newest?.places ?? placesAtStart;
    this.#wasTorn = newest?.isTorn === true || (isAdopted && this.notedEnd?.isTorn === true);
    const digest = place.told === undefined ? createHash('sha256') : place.told.digest;
    this.recordedBefore = { marks: this.#noted, digest: this.#wasTorn ? undefined : digest };
  }

  get exportsFile(): string {
    return join(this.#place.folder, 'exports');
  }

  /** Starts the step's process, or takes it over. Never throws. */
  start(spec: Omit<KeptSpec, 'folder' | 'tools'>): KeptProcess {
    const { folder, tools } = this.#place;
    const { stdout, stderr } = this.#noted;
    const from = { stdout: { ...stdout, next: stdout.from }, stderr: { ...stderr, next: stderr.from } };
    const hasNoStdout = spec.files?.stdout !== undefined;
    this.#process = this.isAdopted
      ? adoptKept({ folder, from, onOutput: spec.onOutput, hasNoStdout })
      : startKept({ ...spec, folder, tools });
    return this.#process;
  }

  /** Where the kernel tells how far its stdin is read, while it runs. */
  get stdinOfKeeper(): string | undefined {
    const keeper = keeperOf(this.#place.folder);
    return keeper === undefined ? undefined : `/proc/${keeper.pid}/fdinfo/0`;
  }

  /** Called just before an output event is logged. */
  readonly onMarks = (marks: OutputMarks): void => {
    const placeOf = (stream: OutputStream): OutputPlace => ({
      ...this.#noted[stream],
      ...marks[stream],
      ...this.#process?.locate(stream, marks[stream].from),
    });
    const places = { stdout: placeOf('stdout'), stderr: placeOf('stderr') };
    this.#places.note(this.#place.count() + 1, places);
    for (const stream of ['stdout', 'stderr'] as const)
      this.#process?.release(stream, this.#noted[stream].piece);
    this.#noted = places;
  };

  /** Some of its output is missing. */
  get isTorn(): boolean {
    return this.#wasTorn || existsSync(join(this.#place.folder, 'torn'));
  }

  /** Keeps a file of the step's beside it, such as its hooks.sh. */
  note(name: string, content: string | Uint8Array): void {
    writeFileSync(join(this.#place.folder, name), content, { mode: 0o600 });
  }

  noted(name: string): Buffer | undefined {
    const path = join(this.#place.folder, name);
    return existsSync(path) ? readFileSync(path) : undefined;
  }

  /** Before the step's end is told. */
  noteEnd(end: StepEnd): void {
    try {
      const isTorn = this.#wasTorn || this.#places.lastSeq > this.#place.count();
      this.note(endFile, JSON.stringify({ ...end, isTorn } satisfies StepEnd));
    } catch {
      // There is no room: the next process has it from what the step left, as if it had ended without an agent.
    }
  }

  get notedEnd(): StepEnd | undefined {
    return notedEnd(this.#place.folder);
  }

  close(): void {
    this.#places.close();
  }
}
