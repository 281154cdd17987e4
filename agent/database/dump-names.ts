import type { DumpFormat } from '../../common/database-command.ts';

/** A file that is a dump of some database by its name. */
export interface DumpName {
  readonly file: string;
  /** `YYYYMMDD_HHMMSS`, local time; sorts by time. */
  readonly time: string;
}

/** `shop_20260102_030405.sql.gz`. `time` is taken as the host's local time. */
export function dumpFileName(database: string, time: Date, format: DumpFormat): string {
  return `${fileNameOf(database)}_${localTime(time)}.${format}`;
}

/**
 * The dumps of exactly this database among `files`, all formats, newest first; by name where the times are the
 * same. `shop` has nothing to do with the dumps of `shop_test`.
 */
export function dumpsOf(database: string, files: readonly string[]): DumpName[] {
  const start = `${fileNameOf(database)}_`;
  return files
    .flatMap((file) => {
      const rest = file.startsWith(start) ? file.slice(start.length) : '';
      const time = /^(\d{8}_\d{6})\.sql(?:\.gz|\.zst)?$/.exec(rest)?.[1];
      return time === undefined ? [] : [{ file, time }];
    })
    .toSorted((a, b) => compare(b.time, a.time) || compare(a.file, b.file));
}

/** `time`, or the first second after it that no dump of the database bears, finished or being written. */
export function freeTime(database: string, time: Date, files: readonly string[]): Date {
  const meant = [...files, ...files.map((file) => dumpOfPartial(file))];
  const taken = new Set(dumpsOf(database, meant).map((dump) => dump.time));
  let free = time;
  while (taken.has(localTime(free))) free = new Date(free.getTime() + 1000);
  return free;
}

/** The name under which a dump is written: hidden, so that nothing takes it for one. */
export function partialFileName(file: string): string {
  return `.${file}.partial`;
}

/** The dumps of this database among `files` that are being written, or were once. */
export function partialsOf(database: string, files: readonly string[]): string[] {
  return files.filter((file) => dumpsOf(database, [dumpOfPartial(file)]).length > 0);
}

/** What a partial dump is to become; empty for any other file. */
function dumpOfPartial(file: string): string {
  return /^\.(.+)\.partial$/s.exec(file)?.[1] ?? '';
}

/**
 * A database's name as part of a file's: itself wherever it can be. What a file's name cannot hold, or would hide it,
 * is percent-encoded, so that two databases never share a name.
 */
function fileNameOf(database: string): string {
  return database.replaceAll(/^\.|[/\p{Cc}]|%(?=[0-9A-F]{2})/gu, (character) => {
    return encodeURIComponent(character) === character ? '%2E' : encodeURIComponent(character);
  });
}

function localTime(time: Date): string {
  const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
  const date = `${pad(time.getFullYear(), 4)}${pad(time.getMonth() + 1)}${pad(time.getDate())}`;
  return `${date}_${pad(time.getHours())}${pad(time.getMinutes())}${pad(time.getSeconds())}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
