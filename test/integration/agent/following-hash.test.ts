import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FollowingHash } from '../../../agent/database/following-hash.ts';

let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kompose-hash-'));
});
after(() => rm(folder, { recursive: true }));

/** How many files this process has open. */
async function openFiles(): Promise<number> {
  return (await readdir('/proc/self/fd')).length;
}

describe('the hash of a file that is being written', () => {
  it('is that of all of it, whenever what came, and leaves the handle where it stands', async () => {
    await using handle = await open(join(folder, 'dump'), 'wx+');
    await using hash = new FollowingHash(handle, 'close');
    const whole = createHash('sha256');
    let sizeBytes = 0;
    for (const size of [1, 70_000, 0, 3 * 1024 * 1024, 17]) {
      const piece = randomBytes(size);
      await handle.write(piece);
      whole.update(piece);
      sizeBytes += size;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(await hash.finish(), { sizeBytes, sha256: whole.digest('hex') });
  });

  it('is that of an empty file', async () => {
    await using handle = await open(join(folder, 'empty'), 'wx+');
    await using hash = new FollowingHash(handle, 'close');
    const sha256 = createHash('sha256').digest('hex');
    assert.deepEqual(await hash.finish(), { sizeBytes: 0, sha256 });
  });

  it('is given up where it is not asked for, and leaves no file open', async () => {
    const openAtFirst = await openFiles();
    {
      await using handle = await open(join(folder, 'broken off'), 'wx+');
      await using hash = new FollowingHash(handle, 'close');
      assert.ok(hash);
    }
    assert.equal(await openFiles(), openAtFirst);
  });

  it('is made in a process that may not be less nice than it was', () => {
    const program = `
      import { open } from 'node:fs/promises';
      import { FollowingHash } from ${JSON.stringify(import.meta.resolve('../../../agent/database/following-hash.ts'))};
      await using handle = await open('/dev/null');
      await using hash = new FollowingHash(handle, 'idle');
      await hash.finish();`;
    const node = [process.execPath, '-e', program];
    const argv = ['-n', '10', 'setpriv', '--bounding-set=-sys_nice', ...node];
    const { status, stderr } = spawnSync('nice', argv, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });

  it('fails as reading fails', async () => {
    await using handle = await open(folder, 'r');
    await using hash = new FollowingHash(handle, 'close');
    await assert.rejects(hash.finish(), { code: 'EISDIR' });
  });
});
