import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { SmallDisk } from './small-disk.ts';
import { OutputPlaces, placesAtStart, type OutputPlacesNow } from '../../../agent/tasks/output-places.ts';

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kompose-places-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

const placeAt = (from: number): OutputPlacesNow => ({
  ...placesAtStart,
  stdout: { ...placesAtStart.stdout, from },
});

function note(places: OutputPlaces, seq: number): void {
  places.note(seq, placeAt(seq * 10));
}

const fromOf = (folder: string, count: number): number | undefined =>
  OutputPlaces.read(folder, count)?.places.stdout.from;

test('says what holds with the newest event that is in the log', async (t) => {
  const folder = await folderOf(t);
  assert.equal(fromOf(folder, 9), undefined);
  const places = OutputPlaces.open(folder, undefined);
  for (const seq of [3, 4, 7]) note(places, seq);
  assert.equal((await stat(join(folder, 'places'))).mode & 0o777, 0o600);
  assert.equal(fromOf(folder, 7), 70);
  assert.equal(fromOf(folder, 9), 70);
  // The process was killed before it could log event 7.
  assert.equal(fromOf(folder, 6), 40);
  places.close();
});

test('forgets a place whose event never came, before another event has its number', async (t) => {
  const folder = await folderOf(t);
  const first = OutputPlaces.open(folder, undefined);
  for (const seq of [3, 4]) note(first, seq);
  first.close();
  OutputPlaces.settle(folder, 3);
  assert.equal(fromOf(folder, 4), 30);
});

test('goes on behind what the log had no room for, and says that something is missing', async (t) => {
  const folder = await folderOf(t);
  const first = OutputPlaces.open(folder, undefined);
  first.note(3, placeAt(30));
  for (const from of [40, 50, 60]) first.note(4, placeAt(from));
  first.close();
  assert.deepEqual(OutputPlaces.read(folder, 3), { seq: 3, places: placeAt(50), isTorn: true });
  const second = OutputPlaces.open(folder, OutputPlaces.read(folder, 3));
  second.note(4, placeAt(60));
  second.close();
  assert.equal(OutputPlaces.read(folder, 4)?.isTorn, true);
});

test('needs no room once it is open', (t) => {
  const disk = new SmallDisk(t);
  const places = OutputPlaces.open(disk.path, undefined);
  disk.fill();
  for (const seq of [3, 4]) note(places, seq);
  places.close();
  assert.equal(fromOf(disk.path, 4), 40);
});

test('of a step that has told nothing, remembers nothing', async (t) => {
  const folder = await folderOf(t);
  const first = OutputPlaces.open(folder, undefined);
  note(first, 3);
  first.close();
  OutputPlaces.open(folder, OutputPlaces.read(folder, 2)).close();
  assert.equal(fromOf(folder, 9), undefined);
});
