import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';

function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(status, 0, `${program}: ${stderr}`);
  return stdout.trim();
}

/** An ext4 of its own that becomes read-only as it does where the kernel meets an error; takes root. */
export class FailingDisk {
  readonly path = mkdtempSync(join(tmpdir(), 'kompose-failing-'));
  #image = `${this.path}.img`;

  constructor() {
    writeFileSync(this.#image, '');
    truncateSync(this.#image, 32 * 1024 * 1024);
    run('mkfs.ext4', '-q', this.#image);
    this.#mount();
  }

  /** Hooks run in the order of their making: those of what is on it come first. */
  removeAfter(t: TestContext): void {
    t.after(() => {
      spawnSync('umount', ['--lazy', this.path]);
      rmSync(this.path, { recursive: true });
      for (const image of [this.#image, `${this.path}.img`]) rmSync(image, { force: true });
    });
  }

  /** From now on nothing can be written any more, not to files that are open either. */
  fail(): void {
    const device = basename(run('findmnt', '-no', 'SOURCE', this.path));
    writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, '1');
    assert.throws(() => writeFileSync(join(this.path, 'new'), ''), { code: 'EROFS' });
  }

  /** What an administrator does about it: another disk with what there was on this one, looked through. */
  mend(): void {
    run('umount', '--lazy', this.path);
    copyFileSync(this.#image, `${this.#image}.mended`);
    this.#image += '.mended';
    const { status } = spawnSync('e2fsck', ['-p', '-f', this.#image]);
    assert.ok(status !== null && status < 4, 'it cannot be mended');
    this.#mount();
  }

  #mount(): void {
    run('mount', '-o', 'loop,errors=remount-ro', this.#image, this.path);
  }
}
