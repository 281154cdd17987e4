import assert from 'node:assert/strict';
import { chown } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { StubFleet } from '../integration/fleet/stub-fleet.ts';

let fleet: StubFleet;

before(async () => {
  fleet = await StubFleet.start('prod-1');
});
after(() => fleet.stop());

/** Ends as wanted, and gives what it prints on stdout. */
async function expect(code: number, home: string, ...words: string[]): Promise<string> {
  const ended = await fleet.run(home, words);
  assert.equal(ended.code, code, `kompose ${words.join(' ')}: ${ended.stderr}`);
  return ended.stdout;
}

async function refused(home: string, ...words: string[]): Promise<string> {
  const { code, stderr } = await fleet.run(home, words);
  assert.notEqual(code, 0, words.join(' '));
  return stderr;
}

async function whoami(home: string): Promise<Record<string, unknown>> {
  return JSON.parse(await expect(0, home, '-o', 'json', 'whoami')) as Record<string, unknown>;
}

async function doctor(home: string): Promise<string> {
  return (await fleet.run(home, ['doctor'])).stdout;
}

describe('controller recover', () => {
  test('prints a new admin token, alone, on stdout, while the controller serves, and is audited', async () => {
    const token = await expect(0, 'controller', 'controller', 'recover');
    assert.match(token, /^kmp1\.\S+\n$/);
    await expect(0, 'rescued', 'login', token.trim());
    const { name, role } = await whoami('rescued');
    assert.equal(role, 'admin');
    assert.match(String(name), /^admin-[a-z]{6}$/);
    const record = (await fleet.objects('audit', 'ls')).find(({ type }) => type === 'controller.recovered');
    assert.deepEqual(record?.['actor'], { name: 'controller', role: 'controller', certificate: '' });
    await expect(0, 'admin', 'audit', 'verify');
  });

  test('works while the controller does not serve', async () => {
    await fleet.stopController();
    const token = await expect(0, 'controller', 'controller', 'recover');
    await fleet.startController();
    await expect(0, 'rescued-later', 'login', token.trim());
    assert.equal((await whoami('rescued-later'))['role'], 'admin');
    await fleet.untilOnline('prod-1');
  });

  test('begins the roster anew: hosts do nothing for it until they are told, and then at once', async () => {
    const { root, signingKey } = await whoami('rescued-later');
    assert.equal(root, signingKey);
    const ps = (): Promise<string> => refused('rescued-later', 'sexy', 'ps');
    assert.match(await ps(), /whoever signed it is not in the roster that this host knows/);
    assert.match(await refused('admin', 'sexy', 'ps'), /the roster has no key of admin/);
    assert.match(await doctor('admin'), /fail +signing key +.*does not go on from the one/);
    await expect(0, 'admin', 'whoami');
    await expect(2, 'prod-1', 'agent', 'trust', 'abc');
    await expect(0, 'prod-1', 'agent', 'trust', String(root));
    await fleet.stopAgent('prod-1', 'SIGTERM');
    await fleet.startAgent('prod-1');
    await expect(0, 'rescued-later', 'sexy', 'ps');
    assert.match(await doctor('rescued-later'), /ok +signing key +admin-[a-z]{6}'s, in a roster of 1 users/);
  });

  test('is refused to another user than the owner of the folder', async () => {
    const folder = join(fleet.home('controller'), 'controller');
    await chown(folder, 65_534, 65_534);
    const { code, stdout, stderr } = await fleet.run('controller', ['controller', 'recover']);
    await chown(folder, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    assert.deepEqual([code, stdout], [5, '']);
    assert.match(stderr, /belongs to another user: .*sudo -u '#65534'/);
  });

  test('is refused where there is no controller', async () => {
    assert.match(
      await refused('nowhere', 'controller', 'recover'),
      /there is no controller in .*controller init/,
    );
  });
});
