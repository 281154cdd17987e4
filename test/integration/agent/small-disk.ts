import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A tmpfs of 256 KiB, until the test ends; a mount takes root, as the tests on the rig do. */
export class SmallDisk {
  readonly path = mkdtempSync(join(tmpdir(), 'kompose-small-'));

  constructor(t: TestContext) {
    const mount = ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', this.path];
    const { status, stderr } = spawnSync('mount', mount, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    t.after(() => {
      spawnSync('umount', ['--lazy', this.path]);
      rmSync(this.path, { recursive: true });
    });
  }

  /** Writes until nothing more goes in; the result makes room again. */
  fill(): () => void {
    const path = join(this.path, 'filler');
    const file = openSync(path, 'w');
    try {
      for (;;) writeSync(file, Buffer.alloc(4096));
    } catch (error) {
      assert.ok(error instanceof Error && 'code' in error && error.code === 'ENOSPC');
    }
    closeSync(file);
    return () => rmSync(path);
  }
}
