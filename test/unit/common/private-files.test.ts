import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { KomposeError } from '../../../common/errors.ts';
import { ensurePrivateFolder, writePrivateFile } from '../../../common/private-files.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'kompose-private-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

test('makes a folder, and those above it, for its owner only', async (t) => {
  const path = join(await folder(t), 'a/b');
  await ensurePrivateFolder(path);
  for (const made of [path, join(path, '..')]) assert.equal((await stat(made)).mode & 0o777, 0o700);
  await ensurePrivateFolder(path);
});

test('refuses a folder that others may look into, and says how to mend it', async (t) => {
  const path = join(await folder(t), 'open');
  await mkdir(path);
  await chmod(path, 0o750);
  await assert.rejects(
    ensurePrivateFolder(path),
    new KomposeError('failed', `${path} is open to others: run chmod 700 ${path}`),
  );
});

test('refuses a link, wherever it leads', async (t) => {
  const root = await folder(t);
  await mkdir(join(root, 'real'), { mode: 0o700 });
  await symlink('real', join(root, 'link'));
  await assert.rejects(ensurePrivateFolder(join(root, 'link')), { code: 'failed' });
});

test('replaces a file as a whole, readable by its owner only', async (t) => {
  const root = await folder(t);
  const path = join(root, 'key');
  await writeFile(path, 'old', { mode: 0o644 });
  await writePrivateFile(path, 'new');
  assert.equal(await readFile(path, 'utf8'), 'new');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(root), ['key']);
});

test('leaves nothing behind when it cannot write', async (t) => {
  const root = await folder(t);
  await mkdir(join(root, 'taken'));
  await assert.rejects(writePrivateFile(join(root, 'taken'), 'x'));
  assert.deepEqual(await readdir(root), ['taken']);
});
