import { existsSync, readdirSync } from 'node:fs';
import { OutputRing, type RingPiece } from './output-ring.ts';

/** A file's name in a log's folder of rings. */
export function pieceName(strand: number, place: number): string {
  return `${strand}-${place}`;
}

/** What an earlier process has left of the rings in a folder, one after the other. Throws Node's system errors. */
export function* findRings(
  folder: string,
  openPiece: (strand: number, place: number) => RingPiece,
): Generator<[strand: number, ring: OutputRing<RingPiece>]> {
  const names = readFolder(folder).map((name) => name.split('-').map(Number));
  for (const [strand, pieces] of Map.groupBy(names, ([of = 0]) => of)) {
    const sorted = pieces.map(([, place = 0]) => place).toSorted((a, b) => a - b);
    const found = sorted.map((place) => openPiece(strand, place));
    // The machine went down before the last one had its marker.
    if (found.at(-1)?.firstSeq === undefined) found.pop()?.remove();
    if (found.length === 0) continue;
    yield [strand, new OutputRing((place) => openPiece(strand, place), found, sorted[0])];
  }
}

function readFolder(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}
