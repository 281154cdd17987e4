import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeScratchFolder, removeScratchFolders } from '../../../agent/tasks/scratch-folder.ts';

test('a scratch folder is private, and what a killed process left of a task can be removed by its id', async (t) => {
  const workFolder = await mkdtemp(join(tmpdir(), 'kompose-work-'));
  t.after(() => rm(workFolder, { recursive: true }));
  const [task, other] = [randomUUID(), randomUUID()];
  t.after(() => removeScratchFolders(other, workFolder));
  const folder = makeScratchFolder(task, workFolder);
  const others = makeScratchFolder(other, workFolder);
  await writeFile(join(folder, 'exports'), 'A=1');
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  assert.deepEqual(await readdir(workFolder), []);
  await removeScratchFolders(task, workFolder);
  await assert.rejects(stat(folder), { code: 'ENOENT' });
  assert.ok((await stat(others)).isDirectory());
});
