import assert from 'node:assert/strict';
import { open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

let fleet: StubFleet;
let archive: string;

before(async () => {
  fleet = await StubFleet.start('prod-1');
  await fleet.untilKnown('prod-1:sexy');
  archive = join(fleet.folder, 'backup.tar');
});

after(() => fleet.stop());

function controller(...args: string[]) {
  return fleet.run('controller', ['controller', ...args]);
}

describe('`kompose controller backup FILE`', () => {
  test('writes one archive, closed to others, while the controller serves', async () => {
    await fleet.must('sexy', 'up', '-d');
    const running = fleet.kompose('sexy', 'up', '-d');
    assert.deepEqual(await controller('backup', archive), { code: 0, stdout: '', stderr: '' });
    assert.equal((await running).code, 0);
    assert.equal((await stat(archive)).mode & 0o777, 0o600);
    const left = await readdir(join(fleet.home('controller'), 'controller'));
    assert.ok(!left.some((name) => name.startsWith('.')), left.join());
    assert.equal((await fleet.kompose('audit', 'verify')).code, 0);
  });

  test('- is stdout', async () => {
    const { code, stdout } = await controller('backup', '-');
    assert.equal(code, 0);
    assert.match(stdout, /^audit\.key\0/);
  });

  test('of nothing, or to nowhere, ends 1 and leaves nothing', async () => {
    const { code, stderr } = await fleet.run('nobody', [
      'controller',
      'backup',
      join(fleet.folder, 'none.tar'),
    ]);
    assert.deepEqual([code, /there is no controller in/.test(stderr)], [1, true]);
    const nowhere = await controller('backup', join(fleet.folder, 'no-such-folder', 'x.tar'));
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /x\.tar cannot be written/);
  });
});

describe('`kompose controller restore FILE`', () => {
  const state = (): string => join(fleet.home('controller'), 'controller');

  test('where a controller is, is refused and changes nothing', async () => {
    const key = await readFile(join(state(), 'audit.key'), 'utf8');
    const { code, stderr } = await controller('restore', archive);
    assert.equal(code, 1);
    assert.match(stderr, /is not empty: move it away first/);
    assert.equal(await readFile(join(state(), 'audit.key'), 'utf8'), key);
  });

  test('of a file that is cut off, is no backup, or is not there, leaves nothing', async () => {
    const bytes = await readFile(archive);
    const bad = join(fleet.folder, 'bad.tar');
    const cases: readonly [content: Uint8Array, why: RegExp][] = [
      [bytes.subarray(0, bytes.length - 5000), /cut off/],
      [Buffer.alloc(10_240, 'x'), /not a backup/],
      [Buffer.alloc(1024), /is not a backup of a controller/],
    ];
    for (const [content, why] of cases) {
      await writeFile(bad, content);
      const { code, stderr } = await fleet.run('elsewhere', ['controller', 'restore', bad]);
      assert.equal(code, 1);
      assert.match(stderr, why);
      assert.deepEqual(await readdir(fleet.home('elsewhere')), []);
    }
    const missing = await fleet.run('elsewhere', ['controller', 'restore', join(fleet.folder, 'none.tar')]);
    assert.equal(missing.code, 3);
  });

  test('brings the fleet back, and its audit verifies', async () => {
    await fleet.stopAgent('prod-1');
    await fleet.must('audit', 'verify');
    await fleet.stopController();
    const seen = join(fleet.home('admin'), 'user', 'contexts', 'default', 'audit-head.json');
    const newest = await readFile(seen);
    await rm(seen);
    await rm(fleet.home('controller'), { recursive: true });
    const { code, stderr } = await controller('restore', archive);
    assert.equal(code, 0, stderr);
    assert.equal((await stat(state())).mode & 0o777, 0o700);
    for (const name of await readdir(state()))
      assert.equal((await stat(join(state(), name))).mode & 0o77, 0, name);
    await fleet.startController();
    assert.match(await fleet.must('audit', 'verify'), /^whole/);
    const types = new Set((await fleet.objects('audit', 'ls')).map(({ type }) => type));
    assert.ok(types.has('controller.backed-up') && types.has('controller.restored'));
    await fleet.startAgent('prod-1');
    await fleet.untilKnown('prod-1:sexy');
    await fleet.must('sexy', 'up', '-d');
    await writeFile(seen, newest);
  });

  test('is a roll back to those who have seen what came after the backup, until that is pruned', async () => {
    const { code, stdout } = await fleet.kompose('audit', 'verify');
    assert.equal(code, 1);
    assert.match(stdout, /^NOT WHOLE: seq \d+: /);
    await fleet.must('audit', 'prune', '--older-than', '0s');
    assert.match(await fleet.must('audit', 'verify'), /^whole/);
    assert.match((await fleet.kompose('doctor')).stdout, /ok +audit/);
  });
});

describe('a damaged database', () => {
  test('is found when the controller starts, which tells the way out', async () => {
    await fleet.stopController();
    const path = join(fleet.home('controller'), 'controller', 'kompose.db');
    const file = await open(path, 'r+');
    const { size } = await file.stat();
    assert.ok(size > 3 * 4096);
    await file.write(Buffer.alloc(4096, 0xff), 0, 4096, 2 * 4096);
    await file.close();
    const { code, stderr } = await controller('serve', '--listen', fleet.address);
    assert.equal(code, 1);
    assert.match(stderr, /the database \S+ is damaged \(.*\): move .* kompose controller restore FILE/);
    await writeFile(path, 'this is no database, though long enough to be looked at'.repeat(100));
    const none = await controller('serve', '--listen', fleet.address);
    assert.match(none.stderr, /the database \S+ is damaged \(file is not a database\)/);
  });
});
