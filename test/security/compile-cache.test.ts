import assert from 'node:assert/strict';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { execa } from 'execa';
import { kompose } from '../fleet/release.ts';

/*
 * What V8 makes of the program is kept from one start to the next and executed without a further look: it must lie
 * where nobody else can write.
 */

let home: string;
let cache: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kompose-home-'));
  cache = join(home, '.cache/kompose');
  await mkdir(join(home, 'tmp'), { mode: 0o1777 });
});

afterEach(() => rm(home, { recursive: true, force: true }));

async function help(more: Readonly<Record<string, string>> = {}): Promise<void> {
  const env = { HOME: home, TMPDIR: join(home, 'tmp'), ...more };
  const options = { env, extendEnv: false, cwd: home };
  const { stdout } = await execa(process.execPath, [kompose, '--help'], options);
  assert.match(stdout, /^Usage: /m);
}

describe('the compiled program', () => {
  test("lies in the user's own cache, closed to others, and not in the temporary folder", async () => {
    await help();
    assert.equal((await stat(cache)).mode & 0o777, 0o700);
    assert.equal((await readdir(cache)).length, 1);
    assert.deepEqual(await readdir(join(home, 'tmp')), []);
  });

  test('is not kept in a folder that others can write to', async () => {
    await mkdir(cache, { recursive: true });
    await chmod(cache, 0o777);
    await help();
    assert.deepEqual(await readdir(cache), []);
  });

  const needsRoot = { skip: process.getuid?.() !== 0 && 'needs root' };
  test('is not kept in a folder of somebody else', needsRoot, async () => {
    await mkdir(cache, { recursive: true });
    await chown(cache, 4711, 4711);
    await help();
    assert.deepEqual(await readdir(cache), []);
  });

  test('is not kept where no folder can be made for it', async () => {
    await writeFile(join(home, '.cache'), '');
    await help();
    assert.deepEqual((await readdir(home)).toSorted(), ['.cache', 'tmp']);
    assert.deepEqual(await readdir(join(home, 'tmp')), []);
  });

  test('is not kept in a folder whose name depends on where it is started', async () => {
    await help({ XDG_CACHE_HOME: 'tmp' });
    assert.deepEqual(await readdir(join(home, 'tmp')), []);
    assert.equal((await readdir(cache)).length, 1);
  });
});
